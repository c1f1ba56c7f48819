"""A graph that is changed while it plays, in virtual time: the same orders, links and fades as in processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.frame import Samples
from audio_pipeline.worker import commands
from tests.engine.graphs import graph_of, noise
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


def wrong(graph: Stage) -> dict[str, float]:
    """Whatever was counted that should not be; what a link that was taken away still held is no loss."""
    return {name: count for name, count in graph.counts().items() if not name.endswith(".unlinked")}


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
    assert not wrong(graph) and not any(runner.links.changing for runner in graph.runners.values())
    check_ledgers(graph)


@pytest.mark.parametrize("nodes,target", [(MIX, "mix.x"), (LINE, "end.in")])
def test_another_level_comes_without_a_step(playing: Any, nodes: str, target: str) -> None:
    graph = playing(nodes)
    graph.command("b", commands.Set("gain", 0.0))
    for source in ("b", "a", "b"):
        change(graph, connect(source, target))
    heard = plain(graph)
    assert heard[-1] == 0 and heard[0] == 1
    assert np.abs(np.diff(heard)).max() < np.pi / 2 / 960 * 1.01, "half a cosine of 20 ms has no steeper place"
    assert np.abs(np.diff(heard, 2)).max() < (np.pi / 960) ** 2, "and no corner"
    check_ledgers(graph)


def test_an_input_comes_and_goes_with_a_fade(playing: Any) -> None:
    graph = playing(MIX)
    change(graph, connect("b", "mix.y", on_loss="silence"))
    change(graph, {"op": "disconnect", "to": "mix.y"})
    heard = plain(graph)
    assert heard.max() == 2 and heard[-1] == 1 and heard.min() == 1
    assert np.abs(np.diff(heard)).max() < np.pi / 2 / 960 * 1.01
    assert list(graph.node("mix").input_settings) == ["x"]
    assert [key.input for key in graph.runners["mix"].inputs] == ["x"]
    assert not wrong(graph)


def test_a_node_is_put_in_between_and_taken_out_and_put_back(playing: Any) -> None:
    """Undone and redone: the same name is another process with ledgers of its own."""
    graph = playing(LINE)
    before = graph.graph
    change(graph, add("half", kind="fader", gain=0.5, **{"in": "a"}), connect("half", "end.in"))
    after = graph.graph
    assert set(graph.runners) == {"song", "a", "b", "end", "out", "half"} and graph.sound()[-1] == 0.5
    for wanted, level in ((before, 1), (after, 0.5), (before, 1)):
        graph.change_to(wanted)
        graph.settle()
        graph.run_for(0.2)
        assert graph.sound()[-1] == level and set(graph.runners) == set(wanted.nodes)
    assert np.abs(np.diff(plain(graph), 2)).max() < (np.pi / 960) ** 2
    check_ledgers(graph)
    assert not wrong(graph)


def test_what_does_not_start_leaves_everything_as_it_was(playing: Any) -> None:
    graph = playing(MIX)
    before, runners = graph.graph, dict(graph.runners)
    broken = add("more", kind="file_source", path="/nowhere.wav")
    with pytest.raises(Exception, match="nowhere"):
        graph.edit(add("half", kind="fader", **{"in": "a"}), broken, connect("half", "mix.x"))
    assert graph.graph is before and graph.runners == runners
    graph.run_for(0.5)
    np.testing.assert_array_equal(plain(graph), 1.0)
    change(graph, add("half", kind="fader", **{"in": "a"}), connect("half", "mix.x"))
    np.testing.assert_array_equal(plain(graph), 1.0)


def test_nodes_that_are_not_touched_hear_nothing_of_it(playing: Any) -> None:
    graph = playing(MIX, seed=3)
    for _ in range(5):
        change(graph, add("half", kind="fader", gain=0.5, **{"in": "a"}), connect("half", "mix.x"))
        change(graph, connect("a", "mix.x"), remove("half"))
    heard = graph.sound("b", "tap")
    np.testing.assert_array_equal(heard, noise(0, len(heard), 3)[:, 0])
    positions(graph.frames("b", "tap"))


SPLIT = """
song: {kind: noise, seed: 0}
late: {kind: delay, hop: 4096, in: song}
mix:
  kind: sum
  inputs:
    wet: {from: late, on_loss: bypass}
    dry: {from: song, on_loss: silence}
out: {kind: sink, inputs: {a: mix}}
"""


def test_a_slow_node_is_bypassed_and_back_at_once(playing: Any) -> None:
    """Its latency stays in the plan, so that the way back is there when it is wanted."""
    graph = playing(SPLIT)
    graph.command("late", commands.Set("gain", 0.5))
    graph.run_for(0.5)
    for on, level in ((True, 2.0), (False, 1.5), (True, 2.0), (False, 1.5)):
        began = graph.now_position
        change(graph, bypass("late", on))
        assert graph.sound()[-1] == level
        assert graph.now_position - began < 0.4 * 48_000
    heard = graph.sound()[RATE_AT:]
    assert np.abs(np.diff(heard, 2)).max() < (np.pi / 960) ** 2
    assert not wrong(graph)
    assert len(graph.runners["mix"].inputs) == 3, "two links and one that stands by"


RATE_AT = 96_000


def test_a_way_that_is_slower_gets_the_time_it_needs(playing: Any) -> None:
    """The song runs further ahead from now on; nothing is heard of the change."""
    graph = playing(
        "song: {kind: noise, seed: 0}\nmix: {kind: sum, inputs: {x: {from: song, on_loss: silence}}}\n"
        "out: {kind: sink, inputs: {a: mix}}"
    )
    change(graph, add("late", kind="delay", hop=9600, **{"in": "song"}), connect("late", "mix.x"))
    graph.run_for(1)
    assert graph.runners["mix"].intake.inputs and graph.runners["song"].pacer.source.lead_samples > 9600
    change(graph, connect("song", "mix.x"), remove("late"))
    graph.run_for(1)
    np.testing.assert_array_equal(plain(graph), 1.0)
    assert not wrong(graph)


def test_a_microphone_behind_a_slower_way_is_heard_later(playing: Any) -> None:
    graph = playing(
        "song: {kind: noise, seed: 0, ahead: false}\nend: {kind: fader, in: song}\n"
        "mix: {kind: sum, inputs: {x: {from: end, on_loss: silence}}}\n"
        "out: {kind: sink, inputs: {a: mix}}"
    )
    change(graph, add("late", kind="delay", hop=4800, **{"in": "song"}), connect("late", "mix.x"))
    graph.run_for(2)
    heard = graph.sound()
    assert heard[-1] == 1 and (heard[-48_000:] == 1).all()
    assert np.abs(np.diff(heard[48_000:])).max() < 0.01, "what is missing meanwhile is faded"
    assert 4000 < (heard[48_000:] == 0).sum() < 24_000


def test_a_filter_waits_for_a_slower_way(playing: Any) -> None:
    """Every position comes once, in order; no sample is lost or made up."""
    graph = playing(LINE)
    change(graph, add("late", kind="delay", hop=4800, **{"in": "song"}), connect("late", "end.in"))
    graph.run_for(1)
    change(graph, connect("a", "end.in"))
    graph.run_for(1)
    np.testing.assert_array_equal(plain(graph), 1.0)
    assert not {name: count for name, count in wrong(graph).items() if "late" not in name}


def test_another_source_takes_over(playing: Any) -> None:
    """A timeline of its own: the old one fades out, the new one in; whoever is behind follows."""
    graph = playing(
        "song: {kind: noise, seed: 0}\na: {kind: fader, in: song}\nend: {kind: fader, in: a}\n"
        "mix: {kind: sum, inputs: {x: {from: a, on_loss: silence}}}\n"
        "out: {kind: sink, inputs: {a: mix, b: end}}"
    )
    change(graph, add("next", kind="noise", seed=0), connect("next", "a.in"), remove("song"))
    graph.run_for(2)
    assert "song" not in graph.runners and set(graph.runners["mix"].aligner.timelines) == {"next"}
    heard = plain(graph)
    assert heard[-1] == 1 and (heard[-48_000:] == 1).all()
    assert np.abs(np.diff(heard)).max() < 0.01
    assert graph.sound("b")[-1] == 1
    assert graph.runners["end"].outputs[0].timeline == "next"


def test_two_sources_side_by_side(playing: Any) -> None:
    graph = playing(MIX)
    change(graph, add("next", kind="noise", seed=0), connect("next", "mix.y", on_loss="silence"))
    graph.run_for(1)
    assert graph.sound()[-1] == 2
    change(graph, {"op": "disconnect", "to": "mix.y"}, remove("next"))
    graph.run_for(0.5)
    assert graph.sound()[-1] == 1 and set(graph.runners["mix"].aligner.timelines) == {"song"}
    assert np.abs(np.diff(plain(graph), 2)).max() < (np.pi / 960) ** 2


@pytest.mark.parametrize("dead", ["mix", "b", "a"])
def test_who_dies_in_the_middle_comes_back_with_the_new_links(playing: Any, dead: str) -> None:
    graph = playing(MIX)
    graph.command("b", commands.Set("gain", 0.5))
    graph.edit(connect("b", "mix.x"))
    graph.restart(dead, 0.2)
    graph.settle(10)
    graph.run_for(2)
    assert graph.sound()[-1] == (1 if dead == "b" else 0.5), "the one that was killed has its stated gain again"
    assert [str(item.plan.source) for item in graph.runners["mix"].inputs.values()] == ["b.out"]
    assert graph.runners["a"].outputs[0].port.backlog().keys() == set()


def test_any_changes_in_any_order_end_where_they_say(playing: Any) -> None:
    """Thirty random changes: what is heard is what the graph says, and nothing of the others is left."""
    random = np.random.default_rng(7)
    graph = playing(SPLIT.replace("mix:", "a: {kind: fader, gain: 0.5, in: song}\nmix:"))
    levels = {"song": 1.0, "a": 0.5, "late": 1.0}
    for number in range(30):
        sources = [str(random.choice([*levels])) for _ in "xy"]
        changes = [connect(source, f"mix.{name}") for source, name in zip(sources, ("wet", "dry"), strict=True)]
        keys = [{"on_loss": "bypass" if source == "late" else "silence"} for source in sources]
        graph.edit(*({**each, "keys": key} for each, key in zip(changes, keys, strict=True)))
        graph.settle()
        graph.run_for(0.1 + number % 5 / 10)
        assert graph.sound()[-1] == sum(levels[source] for source in sources), (number, sources)
    check_ledgers(graph)
    assert not wrong(graph)
    assert len(graph.runners["mix"].inputs) == 2 + sources.count("late")
    assert np.abs(np.diff(plain(graph), 2)).max() < 2 * (np.pi / 960) ** 2


def test_a_recorder_ends_the_track_that_goes_and_begins_the_one_that_comes(tmp_path: Path) -> None:
    text = "song: {kind: noise, seed: 0}\nb: {kind: fader, gain: 0.5, in: song}\n"
    text += "rec: {kind: recorder, subtype: float32, inputs: {one: {from: song, policy: block}}}"
    with Stage(graph_of(text), tmp_path, live=True) as graph:
        graph.run_for(1)
        change(graph, connect("b", "rec.two", policy="block"))
        change(graph, {"op": "disconnect", "to": "rec.one"})
        assert (tmp_path / "one.wav").exists() and not list(tmp_path.glob("two.wav"))
        change(graph, connect("song", "rec.one", policy="block"))
        change(graph, connect("b", "rec.one"), {"op": "disconnect", "to": "rec.two"})
        assert {path.name for path in tmp_path.glob("*.wav*")} >= {"one.wav", "two.wav"}
        check_ledgers(graph)
    assert {path.name for path in tmp_path.glob("*.wav")} == {"one.wav", "one-2.wav", "two.wav"}


HALVES = """
song: {kind: noise, seed: 0}
half: {kind: halves, in: song}
mix: {kind: sum, inputs: {x: {from: half.one, on_loss: bypass}, y: {from: half.two, on_loss: bypass}}}
end: {kind: fader, in: half.two}
out: {kind: sink, inputs: {a: mix, b: end}}
"""


def test_a_bypass_of_input_and_silence_is_the_input_once(playing: Any) -> None:
    """Both inputs change at the same sample, so that their sum never moves; a filter behind is muted too."""
    graph = playing(HALVES)
    for on in (True, False, True):
        change(graph, bypass("half", on))
        assert graph.sound("b")[-1] == (0 if on else 0.75)
    np.testing.assert_allclose(plain(graph), 1.0, atol=1e-6)
    assert np.abs(np.diff(plain(graph, "b"), 2)).max() < (np.pi / 960) ** 2
    assert not wrong(graph)
