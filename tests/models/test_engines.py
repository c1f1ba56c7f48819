"""Which engine a CPU computes with: chosen by what was measured, remembered by machine, refused in a sentence."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.separation import engines
from audio_pipeline.models.separation.engines import (
    Figure,
    Known,
    Way,
    Wish,
    asked_for,
    choose,
    known,
    measure,
    package,
    settle_on_cpu,
)
from audio_pipeline.models.separation.spleeter_layout import Array
from audio_pipeline.models.separation.spleeter_precision import agreement_over_excerpts_db
from audio_pipeline.models.separation.spleeter_probe import EXCERPTS, PIECES, probe, song

ORT, FULL, HALF = Way("onnxruntime", "fp32"), Way("openvino", "fp32"), Way("openvino", "bf16")
WAYS = [ORT, FULL, HALF]


class Timed:
    """Masks that are off by a stated amount, and take a stated time by the clock of the test."""

    now_s = 0.0

    def __init__(self, took_s: float, error: float = 0.0) -> None:
        self._took_s, self._error = took_s, np.float32(error)

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        Timed.now_s += self._took_s
        off = np.random.default_rng(1).standard_normal((len(magnitudes), 2, len(wanted), *magnitudes.shape[2:]))
        return (0.5 + self._error * off).astype(np.float32)


def machine(ort_ms: float, full_ms: float, half_ms: float, error: float = 0.0005) -> dict[Way, Timed]:
    """What three ways take on a machine, and how far off half precision is there: 0.0005 is 60 dB."""
    return {ORT: Timed(ort_ms / 1000), FULL: Timed(full_ms / 1000), HALF: Timed(half_ms / 1000, error)}


@pytest.mark.parametrize(
    ("made", "best"),
    [
        (machine(17, 12, 7), HALF),
        (machine(20, 35, 11), HALF),
        (machine(20, 35, 60), ORT),
        (machine(35, 20, 60), FULL),
        (machine(17, 12, 7, error=0.005), FULL),
        (machine(17, 20, 7, error=0.005), ORT),
        (machine(17, 20, 7, error=float("nan")), ORT),
    ],
)
def test_the_quickest_that_agrees_is_taken(made: dict[Way, Timed], best: Way) -> None:
    """An error of 0.005 of a mask of 0.5 is 40 dB, under the 50 that are asked for."""
    figures = measure(made, lambda: Timed.now_s)
    assert choose(figures, WAYS).way == best
    took = [round(1000 * engine._took_s, 1) for engine in made.values()]
    assert [figure.ms for figure in figures] == took


def test_what_is_asked_for_is_all_there_is_to_choose_from() -> None:
    assert asked_for(WAYS, Wish()) == WAYS
    assert asked_for(WAYS, Wish("openvino")) == [FULL, HALF]
    assert asked_for(WAYS, Wish(precision="fp32")) == [ORT, FULL]
    assert asked_for(WAYS, Wish("openvino", "bf16")) == [HALF]
    assert asked_for(WAYS, Wish(precision="fp16", required=False)) == [ORT, FULL]


@pytest.mark.parametrize(
    ("ways", "wish", "message"),
    [
        ([ORT], Wish("openvino"), "engine: 'openvino' is set, but its package is not installed; python -m pip"),
        (
            WAYS,
            Wish("onnxruntime", "bf16"),
            "precision: 'bf16' is not to be had on this CPU, which has ONNX Runtime fp32;",
        ),
        ([ORT, FULL], Wish(precision="bf16"), "which has ONNX Runtime fp32, OpenVINO fp32; use 'auto'"),
    ],
)
def test_what_this_machine_lacks_is_said(ways: list[Way], wish: Wish, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        asked_for(ways, wish)
    assert message in str(error.value)


def test_half_precision_that_was_asked_for_still_has_to_agree() -> None:
    figures = measure(machine(17, 12, 7, error=0.005), lambda: Timed.now_s)
    assert choose(figures, [HALF]).way == FULL
    message = engines.line(figures, choose(figures, [HALF]), Wish(precision="bf16"))
    assert message.startswith(
        "OpenVINO computes in fp32: bf16 agrees with it to less than 50 dB here, 12.0 ms; ONNX Runtime"
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[Way, Timed]]:
    """A machine with all three ways, on the clock of the test."""
    made = machine(17, 12, 7)
    monkeypatch.setattr(engines, "ways_here", lambda: WAYS)
    monkeypatch.setattr(engines, "measure", lambda found: measure(found, lambda: Timed.now_s))
    yield made


def test_it_is_measured_once_and_remembered(here: dict[Way, Timed], tmp_path: Path) -> None:
    """A second start makes the one it takes, and no other."""
    memory, made = Known(tmp_path / "cache" / "engines.json", "a network"), list[Way]()
    lines = []
    for _ in range(2):
        _, line = settle_on_cpu(lambda way: made.append(way) or here[way], Wish(), memory)
        lines.append(line)
    assert made == [*WAYS, HALF]
    assert (
        lines[0]
        == lines[1]
        == (
            "CPU: OpenVINO computes in bf16, which agrees with fp32 to 60 dB here, 7.0 ms; "
            "ONNX Runtime fp32 17.0 ms; OpenVINO fp32 12.0 ms"
        )
    )


def test_another_library_or_number_of_threads_is_measured_anew(
    here: dict[Way, Timed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "engines.json"
    settle_on_cpu(lambda way: here[way], Wish(), Known(path, "a network"))
    assert Known(path, "a network").recall()
    assert not Known(path, "another").recall() and not Known(path, "a network", threads=1).recall()
    monkeypatch.setattr(engines, "installed", lambda engine: "2027.1")
    assert not Known(path, "a network").recall()


@pytest.mark.parametrize(
    "content",
    [
        "4",
        "[]",
        "[[]]",
        '[["onnxruntime", "fp32", 1]]',
        '[["onnxruntime", "fp32", -1, 200]]',
        '[["onnxruntime", "fp32", null, 200]]',
        '[["onnxruntime", "fp64", 1, 200]]',
        '[["another", "fp32", 1, 200]]',
        '[["openvino", "bf16", 1, 60]]',
        '[["onnxruntime", "fp32", 1, 20]]',
        '[["onnxruntime", ["fp32"], 1, 200]]',
    ],
)
def test_a_memory_that_makes_no_sense_is_none(content: str, tmp_path: Path) -> None:
    """Among it figures without one in full precision, from which nothing could be chosen."""
    memory = Known(tmp_path / "engines.json", "a network")
    memory.remember([Figure(ORT, 1.0, 200.0)])
    assert memory.recall() == [Figure(ORT, 1.0, 200.0)]
    (key,) = json.loads((tmp_path / "engines.json").read_text())
    (tmp_path / "engines.json").write_text(json.dumps({key: json.loads(content)}))
    assert memory.recall() == []


def test_what_will_run_it_is_known_ahead(
    here: dict[Way, Timed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a spare process has imported it."""
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.setattr(engines, "installed", lambda engine: "1.0")
    assert package("spleeter-2stems", 0, Wish()) == "onnxruntime", "nothing was measured"
    settle_on_cpu(lambda way: here[way], Wish(), known("spleeter-2stems"))
    assert package("spleeter-2stems", 0, Wish()) == "openvino"
    assert package("spleeter-2stems", 0, Wish("onnxruntime")) == "onnxruntime"
    monkeypatch.setattr(engines, "installed", lambda engine: "")
    assert package("spleeter-2stems", 0, Wish("openvino")) == "onnxruntime", "the error comes where it is opened"


def test_a_cache_that_cannot_be_written_ends_nothing(here: dict[Way, Timed], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    memory = Known(tmp_path / "cache" / "engines.json", "a network")
    assert settle_on_cpu(lambda way: here[way], Wish(), memory)[0] is here[HALF]


def test_where_there_is_one_way_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ways_here", lambda: [ORT])
    only = Timed(1.0)
    before = Timed.now_s
    assert settle_on_cpu(lambda way: only, Wish(precision="auto")) == (only, "CPU: ONNX Runtime computes in fp32")
    assert Timed.now_s == before


def test_the_probe_is_music() -> None:
    """Up to full scale, with loud and quiet moments, and over all of what the networks see."""
    for piece in PIECES:
        sound = song(piece)
        assert np.abs(sound).max() == 1.0 and 0.1 < np.sqrt((sound**2).mean()) < 0.3
    shown = probe()
    assert shown.shape == (EXCERPTS, 128, 1024, 2) == (12, 128, 1024, 2) and shown.dtype == np.float32
    for part in np.split(shown, len(PIECES)):
        octaves = [(part[:, :, low : 2 * low] ** 2).mean() for low in (1, 4, 16, 64, 256, 512)]
        assert all(later < earlier for earlier, later in itertools.pairwise(octaves[1:])), "less at higher frequencies"
        assert min(octaves) > 1e-4 * max(octaves)


@pytest.mark.parametrize(
    ("errors", "agrees_db"), [([0.0005] * 12, 60), ([0.0005] * 10 + [0.005] * 2, 60), ([0.0005] * 11 + [0.05], 20)]
)
def test_one_odd_excerpt_does_not_decide_and_a_wrong_one_does(errors: list[float], agrees_db: float) -> None:
    sound = np.ones((12, 8, 16, 2), np.float32)
    exact = np.full((12, 2, 4, 16, 2), 0.5, np.float32)
    off = np.float32(errors)[:, None, None, None, None]
    assert agreement_over_excerpts_db(exact, exact + off, sound, range(4, 8)) == pytest.approx(agrees_db, abs=0.1)
