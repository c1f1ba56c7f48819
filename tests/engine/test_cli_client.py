"""The client's own pipeline, its line of numbers, and its errors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.cli.client import client_graph, status
from audio_pipeline.cli.main import main
from audio_pipeline.control.replies import OutputPort, PortsReply
from audio_pipeline.errors import ConfigError
from audio_pipeline.gateway.control import connect
from audio_pipeline.graph.load import load
from audio_pipeline.keys import FOLDER, Keys
from tests.engine.states import full, karaoke, node

THERE = PortsReply("studio", 44_100, (OutputPort("mix.out", True), OutputPort("split.vocals", False)), ("voice",))


def graph(**options: Any) -> Any:
    given = {"host": "studio", "key": "k", "own": "", "play": "", "mic": "", "device": "null", "input": "default"}
    return client_graph(argparse.Namespace(**{**given, **options}), THERE)


def kinds(made: Any) -> dict[str, str]:
    return {name: spec.kind for name, spec in made.nodes.items()}


def test_without_a_wish_the_first_exported_output_is_played_at_its_rate() -> None:
    made = graph()
    assert kinds(made) == {"there": "remote_in", "speaker": "playback"} and made.rate == 44_100
    assert made.nodes["there"].settings.port == "mix.out" and made.nodes["there"].settings.key == "k"


def test_a_microphone_alone_and_with_sound() -> None:
    assert kinds(graph(mic="voice")) == {"mic": "capture", "send": "remote_out"}
    both = graph(mic="voice", play="split.vocals")
    assert kinds(both) == {"there": "remote_in", "speaker": "playback", "mic": "capture", "send": "remote_out"}
    assert both.nodes["send"].settings.to == "voice"


def test_both_directions_share_a_process_and_so_a_connection() -> None:
    nodes = graph(mic="voice", play="split.vocals").nodes
    assert nodes["there"].process == nodes["send"].process != nodes["speaker"].process


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"play": "mux"}, "exports no output 'mux.out', did you mean 'mix.out'?; there are: mix.out, split.vocals"),
        ({"mic": "voic"}, "has no node that waits for sound called 'voic', did you mean 'voice'?"),
    ],
)
def test_a_missing_port_is_refused_before_anything_starts(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        graph(**options)
    assert sentence in str(caught.value)


def test_the_line_has_delay_jitter_buffer_and_losses() -> None:
    gauges = {
        "connected": 1.0,
        "age_ms": 60.0,
        "round_trip_ms": 41.0,
        "jitter_ms": 5.25,
        "buffer_ms": 31.0,
        "target_ms": 35.0,
        "ppm": -12.0,
    }
    nodes = {
        "there": node(
            "remote_in",
            settings={"port": "mix.out"},
            gauges=gauges,
            levels_db={"out": [-6.0, -9.0]},
            counters={"underruns": 2, "lost_samples": 480, "late_samples": 20, "reconnects": 1},
        ),
        "speaker": node("playback", latency_ms={"total": 20.0}),
        "mic": node("capture"),
        "send": node(
            "remote_out",
            settings={"to": "voice"},
            gauges={"connected": 0.0},
            counters={"sent": 7, "dropped_oldest": 2, "dropped_nobody": 3},
        ),
    }
    line = status(full({**karaoke(), "nodes": nodes}))
    for part in (
        "delay 80 ms",
        "way 20.5 ms",
        "jitter 5.2 ms",
        "buffer 31/35 ms",
        "-12 ppm",
        "dry 2",
        "lost 500 samples",
        "again 1",
        "mic -> voice not connected",
        "sent 7  dropped 5",
    ):
        assert part in line
    gauges["connected"] = 0.0
    assert "mix.out not connected" in status(full({**karaoke(), "nodes": nodes}))


def test_without_a_key_the_error_names_the_command_that_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "keys"))
    assert main(["client", "192.0.2.1", "--key", "studio"]) == 9
    assert "this host has no key named 'studio'; write it down with" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["tcp://", "tcp://studio@", "studio"])
def test_a_malformed_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected"):
        connect(address, keys=Keys(tmp_path))


def test_the_bundled_studio_is_valid_and_can_be_reached_from_its_own_host_alone() -> None:
    studio = load("studio")
    assert studio.nodes["gateway"].settings.listen.startswith("127.0.0.1:") and studio.nodes["singer"].cls.remote_input
