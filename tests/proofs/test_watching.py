"""Everything that watches a pipeline at once, as people start it: metrics, logs, top, tap, while a node is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.engine.graphs import text_of
from tests.plain_state import plain_state

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
AUDIO_PIPELINE = (sys.executable, "-m", "audio_pipeline")
GRAPH = """
song: {kind: noise, seed: 3}
loud: {kind: fader, gain: 0.5, in: song}
rec: {kind: recorder, inputs: {loud: {from: loud, policy: block}}}
"""


def ask(*words: str) -> str:
    """What a command prints."""
    return subprocess.run([*AUDIO_PIPELINE, *words], capture_output=True, text=True, check=True, timeout=60).stdout


def soon(so: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = so()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError("it never came to that")


def scraped(url: str) -> dict[tuple[str, str], float]:
    """Samples by name and node, link or path."""
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            label = next((sample.labels[key] for key in ("node", "link", "path") if key in sample.labels), "")
            found[sample.name.removeprefix("audio_pipeline_"), label] = sample.value
    return found


def test_all_who_watch_see_a_node_die_and_come_back(tmp_path: Path, proof_scale: float, private: Path) -> None:
    config, log, err = tmp_path / "watch.yaml", tmp_path / "log.jsonl", tmp_path / "err"
    config.write_text(text_of(GRAPH, name="watch", metrics="127.0.0.1:0"))
    command = [*AUDIO_PIPELINE, "run", str(config), "--no-view", "--log-file", str(log), "--folder", str(tmp_path)]
    with err.open("w") as errors, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors) as run:
        url = soon(lambda: re.search(r"metrics at (http://127\.0\.0\.1:\d+/metrics)", err.read_text())).group(1)
        soon(lambda: _all_up(url))
        before = soon(lambda: _with(scraped(url), ("path_age_max_seconds", "song>loud>rec")))
        top = json.loads(ask("top", "--once", "--json", "--interval", "0.5"))
        (loud,) = [node for node in top["nodes"] if node["node"] == "loud"]
        assert loud["wait_ms"] > 0 and 0 < loud["busy_share"] < 1 and loud["errors"] == {}
        pid = _pid("loud")
        os.kill(pid, signal.SIGKILL)
        back = soon(lambda: [entry for entry in _entries(log) if entry["event"] == "back"])
        after = soon(lambda: _with(scraped(url), ("node_restarts_total", "loud")))
        assert "loud died" in ask("logs")
        time.sleep(max(30 * proof_scale, 1))
        later = scraped(url)
        ask("stop")
        assert run.wait(30) == 0, err.read_text()
    link = "link_frames_offered_total", "song.out>loud.in"
    assert before[link] < after[link] < later[link], "counters go on over a restart"
    incident = next(entry for entry in _entries(log) if entry["event"] == "incident")
    assert (incident["node"], incident["pid"], incident["level"]) == ("loud", pid, "error")
    assert {link["target"] for link in incident["ledger"]} == {"loud.in", "rec.loud"}
    assert log.stat().st_mode & 0o777 == 0o600
    print(
        f"a node killed under all who watch: back after {back[0]['time_s'] - incident['time_s']:.2f} s, "
        f"{len(_entries(log))} log entries, counters went on"
    )


def _entries(log: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        if log.exists()
        else []
    )


def _all_up(url: str) -> bool:
    try:
        ups = [value for (name, _), value in scraped(url).items() if name == "node_up"]
    except OSError:  # 503 while it starts
        return False
    return bool(ups) and all(ups)


def _with(samples: dict[tuple[str, str], float], key: tuple[str, str]) -> dict[tuple[str, str], float] | None:
    return samples if samples.get(key) else None


def _pid(node: str) -> int:
    from audio_pipeline.control.client import Client

    client = Client.attach("watch")
    try:
        return int(plain_state(client)["nodes"][node]["pid"])
    finally:
        client.close()
