"""A graph that is changed while it plays, in virtual time: the same orders, links and fades as in processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.frame import Samples
from tests.engine.graphs import graph_of
from tests.engine.test_local import Stage, check_ledgers, positions

MIX = """
song: {kind: noise, seed: SEED}
a: {kind: fader, in: song}
b: {kind: fader, in: song}
mix: {kind: sum, inputs: {x: {from: a, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
tap: {kind: sink, inputs: {b: b}}
"""
LINE = """
song: {kind: noise, seed: SEED}
a: {kind: fader, in: song}
b: {kind: fader, in: song}
end: {kind: fader, in: a}
out: {kind: sink, inputs: {a: end, b: b}}
"""


def connect(source: str, target: str, **keys: Any) -> dict[str, Any]:
    return {"op": "connect", "from": source, "to": target, "keys": keys}


def add(name: str, **node: Any) -> dict[str, Any]:
    return {"op": "add", "name": name, "node": node}


def remove(name: str) -> dict[str, Any]:
    return {"op": "remove", "name": name}


def bypass(name: str, on: bool) -> dict[str, Any]:
    return {"op": "bypass", "name": name, "on": on}


@pytest.fixture
def playing(tmp_path: Path) -> Iterator[Any]:
    """Makes a graph play for a second."""
    stages: list[Stage] = []

    def make(nodes: str, seed: int = 0) -> Stage:
        made = Stage(graph_of(nodes.replace("SEED", str(seed))), tmp_path / str(len(stages)), live=True)
        stages.append(made)
        made.run_for(1)
        return made

    yield make
    for made in stages:
        made.close()


def change(graph: Stage, *changes: dict[str, Any]) -> None:
    graph.edit(*changes)
    graph.settle()
    graph.run_for(0.2)


def plain(graph: Stage, name: str = "a") -> Samples:
    """What was heard, without the start."""
    positions(graph.frames(name))
    heard = graph.sound(name)
    first = int(np.flatnonzero(heard)[0]) + 480
    return heard[first:]


@pytest.mark.parametrize("nodes,target", [(MIX, "mix.x"), (LINE, "end.in")])
def test_the_same_sound_over_another_way_is_heard_as_before(playing: Any, nodes: str, target: str) -> None:
    graph = playing(nodes)
    for source in ("b", "a", "song", "b", "a"):
        change(graph, connect(source, target))
    np.testing.assert_array_equal(plain(graph), 1.0)
    assert len(plain(graph)) > 1.9 * 48_000
    assert not graph.counts() and not any(runner.intake.all.changing for runner in graph.runners.values())
    check_ledgers(graph)


@pytest.mark.parametrize("nodes,target", [(MIX, "mix.x"), (LINE, "end.in")])
def test_another_level_comes_without_a_step(playing: Any, nodes: str, target: str) -> None:
    graph = playing(nodes)
    graph.command("b", op="set", name="gain", value=0.0)
    for source in ("b", "a", "b"):
        change(graph, connect(source, target))
    heard = plain(graph)
    assert heard[-1] == 0 and heard[0] == 1
    assert np.abs(np.diff(heard)).max() < np.pi / 2 / 960 * 1.01, "half a cosine of 20 ms has no steeper place"
    assert np.abs(np.diff(heard, 2)).max() < (np.pi / 960) ** 2, "and no corner"
    check_ledgers(graph)
