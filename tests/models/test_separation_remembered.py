"""What a separator learns of its machine while it plays, and what its successor makes of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from audio_pipeline.models.separation.cache_table import MOST
from audio_pipeline.models.separation.remembered import Evidence, Remembered, recall, remember
from audio_pipeline.models.separation.types import HOPS

SECOND = 1_000_000_000
KEY = "a processor, 2 cores"


def run(evidence: Evidence, seconds: range, step: int = 0, missed: int = 0) -> list[int]:
    found = [evidence.note(second * SECOND, step, missed) for second in seconds]
    return [hop for hop in found if hop is not None]


def test_a_hop_has_held_after_a_minute_without_a_miss() -> None:
    assert run(Evidence(4), range(60)) == []
    assert run(Evidence(4), range(200)) == [4]


def test_a_miss_begins_the_minute_anew() -> None:
    evidence = Evidence(4)
    assert run(evidence, range(50)) == []
    assert run(evidence, range(50, 110), missed=1) == []
    assert run(evidence, range(110, 120), missed=1) == [4]


def test_what_was_tried_above_is_stated_next_time_and_what_did_not_hold_is_not() -> None:
    evidence = Evidence(4)
    assert run(evidence, range(61), step=-1) == [2]
    assert run(evidence, range(61, 62), step=1) == [8]
    assert run(evidence, range(62, 130), step=0) == [4], "a busy minute is forgotten after a good one"


@pytest.mark.parametrize(("hop", "step", "next_hop"), [(32, 1, 32), (1, -1, 1)])
def test_the_list_of_hops_ends(hop: int, step: int, next_hop: int) -> None:
    assert run(Evidence(hop), range(70), step=step) == [next_hop]


def test_what_is_remembered_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "separator.json"
    remember(path, KEY, 4)
    remember(path, "another", 8)
    assert (recall(path, KEY), recall(path, "another"), recall(path, "a third")) == (4, 8, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[4]",
        b"null",
        b'{"a processor, 2 cores": "4"}',
        b'{"a processor, 2 cores": 3}',
        b"\xff\xfe",
        b'{"a processor, 2 cores": 1e400}',
        b"[" * 100_000,
        b" " * 70_000 + b'{"a processor, 2 cores": 4}',
    ],
)
def test_a_damaged_file_is_no_memory_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "separator.json"
    path.write_bytes(content)
    assert recall(path, KEY) is None
    remember(path, KEY, 8)
    assert recall(path, KEY) == 8


def test_the_file_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "separator.json"
    for number in range(MOST + 20):
        remember(path, f"machine {number}", HOPS[number % len(HOPS)])
    kept = list(json.loads(path.read_text()))
    assert kept == [f"machine {number}" for number in range(20, MOST + 20)]


def test_a_cache_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    known = Remembered(tmp_path / "cache" / "separator.json", KEY).begin(4)
    assert known.settle(4) == 4
    for second in range(70):
        known.note(second * SECOND, 0, 0)
    assert known.settle(4) == 4
