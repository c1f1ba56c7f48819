"""A node that goes over from one song to another while it plays: what it remembers and counts is of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from audio_pipeline.links import tap as taps
from tests.engine.graphs import graph_of
from tests.engine.test_local import Stage
from tests.engine.test_rewire import add, connect, remove

# `noise` with seed 0 is a constant 1
SONGS = "song: {kind: noise, seed: 0}\nnext: {kind: noise, seed: 0}\n"
MIXED = """a: {kind: fader, in: song}
end: {kind: fader, in: a}
mix: {kind: sum, inputs: {x: {from: a, on_loss: silence}}}
tap: {kind: sink, inputs: {n: next}}
out: {kind: sink, inputs: {a: mix, b: end}}
"""


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[Any]:
    stages: list[Stage] = []

    def make(nodes: str) -> Stage:
        stages.append(Stage(graph_of(nodes), tmp_path / str(len(stages)), live=True))
        stages[-1].run_for(1)
        return stages[-1]

    yield make
    for made in stages:
        made.close()


def move(stage: Stage, target: str = "a.in") -> None:
    stage.edit(connect("next", target))
    stage.settle(10)
    stage.run_for(4)


@pytest.mark.parametrize("seeks", [0, 3])
def test_a_song_that_was_sought_leaves_no_generation_behind(playing: Any, seeks: int) -> None:
    stage = playing(SONGS + MIXED)
    for _ in range(seeks):
        stage.transport("seek", seconds=1)
        stage.run_for(0.5)
    move(stage)
    assert np.all(stage.sound("a")[-48_000:] == 1.0) and np.all(stage.sound("b")[-48_000:] == 1.0)
    for name in ("mix", "end"):
        assert "next" not in stage.runners[name].core.generations, "the other song was never sought"
    assert not [name for name in stage.counts() if "cancelled" in name]


def test_what_is_remembered_is_of_the_song_that_plays(playing: Any) -> None:
    stage = playing(
        "song: {kind: noise, seed: 0}\na: {kind: fader, in: song}\n"
        "mix: {kind: sum, inputs: {x: {from: a, on_loss: silence}}}\nout: {kind: sink, inputs: {a: mix}}\n"
    )
    stage.run_for(9)
    stage.edit(add("next", kind="noise", seed=0), connect("next", "a.in"), remove("song"))
    stage.settle(10)
    port = stage.runners["a"].outputs[0].port
    stage.run_for(5)
    assert sum(item.end - item.position for item in port._history) <= port._history_samples + 480
    assert port.spec.timeline == "next"
    stage.restart("mix", 0.2)
    stage.run_for(2)
    assert np.all(stage.sound()[-48_000:] == 1.0), "the mixer was not led astray by the other song's positions"
    assert "mix: late_samples" not in stage.counts()


def test_a_bypass_follows_to_the_other_song(playing: Any) -> None:
    stage = playing(
        SONGS + "late: {kind: delay, hop: 4096, in: song}\n"
        "mix: {kind: sum, inputs: {x: {from: late, on_loss: bypass}}}\n"
        "tap: {kind: sink, inputs: {n: next}}\nout: {kind: sink, inputs: {a: mix}}\n"
    )
    move(stage, "late.in")
    assert sorted(str(item.plan.source) for item in stage.runners["mix"].inputs.values()) == ["late.out", "next.out"]
    stage.kill("late")
    stage.run_for(1)
    assert np.all(stage.sound()[-24_000:] == 1.0)


class _Shared:
    """The context of the stage, which a tap may not end."""

    def __init__(self, context: zmq.Context[Any]) -> None:
        self.socket = context.socket

    def destroy(self, linger: int) -> None:
        """The stage does that."""


class _InStage:
    """ZeroMQ with the stage's context, so that a tap reaches its inproc links."""

    def __init__(self, stage: Stage) -> None:
        self.Context = lambda: _Shared(stage.nodes.context)

    def __getattr__(self, name: str) -> Any:
        return getattr(zmq, name)


def test_a_tap_hears_on(playing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = playing(SONGS + MIXED)
    monkeypatch.setattr(taps, "zmq", _InStage(stage))
    tap = taps.Tap("inproc://a.out", stage.run.token)

    def heard(seconds: float) -> int:
        count = 0
        for _ in range(round(seconds * 50)):
            stage.run_for(0.02)
            while tap.take(0.001) is not None:
                count += 1
        return count

    for _ in range(2):
        stage.transport("seek", seconds=1)
        heard(0.3)
    assert tap.welcome is not None and tap.welcome.timeline == "song"
    stage.edit(connect("next", "a.in"))
    heard(5)
    assert heard(1) == 100 and tap.counts["dropped.cancelled"] == 0
    assert tap.welcome.timeline == "next"
    tap.close()
