"""Whole graphs in one thread: the same runners, links and credit as in processes, under virtual time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.control.notices import Reply
from audio_pipeline.errors import NodeError
from audio_pipeline.frame import Flag, Frame, Samples
from audio_pipeline.graph.job import Anchor
from audio_pipeline.graph.types import Graph
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.local import LocalGraph
from audio_pipeline.worker import commands
from tests.engine.graphs import graph_of, noise

RATE, N = 48_000, 480
FADE = 480
SECOND = 1_000_000_000

DIAMOND = """
song: {kind: noise, SONG}
late: {kind: delay, hop: 4096, LATE, in: song}
mix:
  kind: sum
  inputs:
    wet: {from: late, on_loss: bypass}
    dry: {from: song, on_loss: silence}
out: {kind: sink, inputs: {a: mix}}
"""
CHAIN = """
song: {kind: noise, SONG}
late: {kind: delay, hop: 4096, LATE, in: song}
mix: {kind: sum, inputs: {wet: {from: late, on_loss: bypass}}}
out: {kind: sink, inputs: {a: mix}}
"""


def diamond(song: str = "seconds: 3", late: str = "gain: 1", nodes: str = DIAMOND, **top: object) -> Graph:
    return graph_of(nodes.replace("SONG", song).replace("LATE", late), **top)


class Stage(LocalGraph):
    """A graph with the words that a supervisor would say."""

    generation = 0

    def run_for(self, seconds: float) -> None:
        self.run_until(self.clock.now_ns() + round(seconds * SECOND))

    def node(self, name: str) -> Any:
        return self.runners[name].node

    def sound(self, name: str = "a", node: str = "out") -> Samples:
        return self.node(node).sound(name)[:, 0]  # type: ignore[no-any-return]

    def frames(self, name: str = "a", node: str = "out") -> list[Frame]:
        return self.node(node).frames[name]  # type: ignore[no-any-return]

    @property
    def now_position(self) -> int:
        """What the graph's clock reads."""
        line = self.record.read()
        assert line is not None
        return round(line.position_at(self.clock.now_ns()))

    def transport(self, command: str, *, playing: bool = True, **args: Any) -> None:
        """As the supervisor does it: everybody hears of the cancel before the source does."""
        self.generation += 1
        for name in self.runners:
            if name != "song":
                self.runners[name].inbox.append(commands.Cancel("song", self.generation))
        self.command("song", commands.Transport(command, args, self.generation, playing))

    def restart(self, name: str, away_s: float) -> None:
        """Killed, gone for a while, back with what the supervisor knows."""
        board = self.board(name)
        anchors = {
            line: Anchor(int(at), int(board.get(f"anchor_generation.{line}", 0)))
            for line, at in board.under("anchor.").items()
        }
        self.kill(name)
        self.run_for(away_s)
        self.revive(name, anchors=anchors, generations={"song": self.generation})

    def anchor(self, node: str = "mix") -> int:
        return int(self.board(node)["anchor.song"])

    def counts(self) -> dict[str, float]:
        """Every counter of something that went wrong and is not 0."""
        wrong = re.compile(
            r".*\.dropped\..*|count\.(late|concealed|skipped|bad)_\w+|count\.(late|cancelled|unused)_frames"
        )
        boards = [(node, self.board(node)) for node in self.runners]
        return {
            f"{node}: {name}": board[name]
            for node, board in boards
            for name in board
            if board[name] and wrong.fullmatch(name)
        }


@contextmanager
def stage(graph: Graph, folder: Path, **over: Any) -> Iterator[Stage]:
    with Stage(graph, folder, **over) as made:
        assert isinstance(made, Stage)
        yield made


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Stage]:
    """The diamond, playing without end."""
    with stage(diamond("seed: 1"), tmp_path, live=True) as made:
        yield made


def positions(frames: list[Frame]) -> None:
    """Frames are neighbours."""
    for before, after in zip(frames, frames[1:], strict=False):
        assert after.position == before.end


# -- offline -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame_ms", [1, 2.5, 10, 33.3, 100])
@pytest.mark.parametrize("block", [0, 17, 5000])
def test_offline_nothing_depends_on_the_size_of_frames_or_blocks(tmp_path: Path, frame_ms: float, block: int) -> None:
    seconds = 1.234
    with stage(diamond(f"seconds: {seconds}, block: {block}", frame_ms=frame_ms), tmp_path) as graph:
        graph.run_to_end()
        positions(graph.frames())
        np.testing.assert_array_equal(graph.sound(), 2 * noise(0, round(seconds * RATE))[:, 0])
        assert not graph.counts()


def test_two_runs_offline_are_the_same_to_the_bit(tmp_path: Path) -> None:
    def run() -> list[tuple[int, int, int, bytes]]:
        with stage(diamond(), tmp_path) as graph:
            graph.run_to_end()
            return [(f.position, int(f.flags), f.captured_ns, f.audio().tobytes()) for f in graph.frames()]

    assert run() == run()


@settings(max_examples=12)
@given(st.floats(0, 0.2), st.floats(0, 0.2), st.integers(1, 9000))
def test_offline_streams_of_any_lengths_are_merged_to_the_longest(
    tmp_path_factory: pytest.TempPathFactory, a: float, b: float, hop: int
) -> None:
    nodes = f"""
a: {{kind: noise, seconds: {a}, seed: 1}}
b: {{kind: noise, seconds: {b}, seed: 2}}
late: {{kind: delay, hop: {hop}, in: b}}
mix: {{kind: sum, inputs: {{a: a, b: late}}}}
out: {{kind: sink, inputs: {{x: mix}}}}
"""
    with stage(graph_of(nodes), tmp_path_factory.mktemp("local")) as graph:
        graph.run_to_end()
        got = graph.sound("x")
    want = np.zeros(max(round(a * RATE), round(b * RATE)), np.float32)
    want[: round(a * RATE)] += noise(0, round(a * RATE), 1)[:, 0]
    want[: round(b * RATE)] += noise(0, round(b * RATE), 2)[:, 0]
    np.testing.assert_array_equal(got, want)


def test_offline_a_slow_reader_stalls_its_source_and_loses_nothing(tmp_path: Path) -> None:
    with stage(diamond(), tmp_path, work_ms={"late": 30, "out": 7}) as graph:
        graph.run_to_end()
        np.testing.assert_array_equal(graph.sound(), 2 * noise(0, 3 * RATE)[:, 0])
        assert not graph.counts()


HOLDER = DIAMOND.replace("kind: delay, hop: 4096,", "kind: holder,")


@pytest.mark.parametrize("back_s", [0.5, 3, 12])
def test_offline_a_node_slower_than_its_word_delays_and_costs_nothing(back_s: float, tmp_path: Path) -> None:
    with stage(diamond("seconds: 20", f"back_s: {back_s}", HOLDER), tmp_path) as graph:
        graph.run_to_end()
        np.testing.assert_array_equal(graph.sound(), 2 * noise(0, 20 * RATE)[:, 0])


@pytest.mark.parametrize("hole_s", [0.1, 2, 30])
@pytest.mark.parametrize("from_s", [0, 1])
def test_offline_a_hole_longer_than_any_buffer_is_silence(from_s: int, hole_s: float, tmp_path: Path) -> None:
    late = f"hole_from_s: {from_s}, hole_s: {hole_s}"
    with stage(diamond("seconds: 34", late, HOLDER), tmp_path) as graph:
        graph.run_to_end()
        want = 2 * noise(0, 34 * RATE)[:, 0]
        want[from_s * RATE : from_s * RATE + round(hole_s * RATE)] /= 2  # there is the dry song alone
        got = graph.sound()
        assert len(got) == len(want)
        fades = np.ones(len(want), bool)  # a short hole is faded by whoever passes it on
        fades[max(from_s * RATE - FADE, 0) : from_s * RATE + round(hole_s * RATE) + 2 * FADE] = hole_s > 1
        np.testing.assert_array_equal(got[fades], want[fades])


def test_who_waits_for_ever_is_named(tmp_path: Path) -> None:
    with stage(diamond(), tmp_path) as graph:
        graph.kill("late")
        with pytest.raises(NodeError, match="^stuck: song, mix, out wait for each other$"):
            graph.run_to_end()


@pytest.mark.parametrize("at", [0, 480, 4800, 47_999, 48_000, 48_123])
@pytest.mark.parametrize(("node", "setting"), [("mix", "inputs.wet.gain"), ("fader", "gain")])
def test_offline_a_setting_changes_exactly_where_it_should(tmp_path: Path, node: str, setting: str, at: int) -> None:
    plan = {node: [[at, setting, 0.25]]}
    nodes = CHAIN.replace("in: song", "in: fader") + "fader: {kind: fader, in: song}\n"
    with stage(diamond("seconds: 2, seed: 0", nodes=nodes), tmp_path, schedule=plan) as graph:
        graph.run_to_end()
        want = np.where(np.arange(2 * RATE) < at, 1, 0.25)
        np.testing.assert_array_equal(graph.sound(), want.astype(np.float32))


@pytest.mark.parametrize(("node", "setting"), [("mix", "inputs.wet.gain"), ("fader", "gain")])
def test_offline_several_settings_may_change_within_a_frame(tmp_path: Path, node: str, setting: str) -> None:
    changes = [(4800, 0.5), (4900, 0.25), (4900, 0.75), (5000, 2.0), (5280, 1.0)]
    nodes = CHAIN.replace("in: song", "in: fader") + "fader: {kind: fader, in: song}\n"
    plan = {node: [[at, setting, value] for at, value in changes]}
    with stage(diamond("seconds: 0.2, seed: 0", nodes=nodes), tmp_path, schedule=plan) as graph:
        graph.run_to_end()
        want = np.ones(9600, np.float32)
        for at, value in changes:
            want[at:] = value
        np.testing.assert_array_equal(graph.sound(), want)


# -- live: the normal case ---------------------------------------------------------------------------


@pytest.mark.parametrize("frame_ms", [2.5, 10, 20])
@pytest.mark.parametrize("source", ["seed: 1", "seed: 1, ahead: false"])
def test_live_what_is_heard_is_what_was_sent(tmp_path: Path, frame_ms: float, source: str) -> None:
    """Also with frames shorter than a fade, and from a microphone that cannot run ahead."""
    with stage(diamond(source, frame_ms=frame_ms), tmp_path, live=True) as graph:
        graph.run_for(2)
        got = graph.sound()
        positions(graph.frames())
        start = graph.anchor()
        assert not got[:start].any()
        np.testing.assert_array_equal(got[start:], 2 * noise(0, len(got) - start)[:, 0])
        assert not graph.counts()


def test_a_song_that_can_run_ahead_starts_at_once(live: Stage) -> None:
    """The lead goes out in one burst, so nobody waits for the slowest path."""
    live.run_for(0.1)
    assert live.anchor() <= 2 * N


def test_the_output_is_as_old_as_the_plan_says(tmp_path: Path) -> None:
    """From a microphone through a hop of 4096 samples: the age of what is heard, by its capture stamps."""
    with stage(diamond("ahead: false"), tmp_path, live=True) as graph:
        (stated, *_) = {path.total_ms for path in graph.run.plan.paths}
        graph.run_for(2)
        worst = graph.board("out")["age.a.max"]
        assert stated - 30 <= worst <= stated


def test_live_an_end_travels_through_the_graph_and_everything_drains(tmp_path: Path) -> None:
    with stage(diamond("seconds: 0.5"), tmp_path, live=True) as graph:
        graph.run_for(1)
        assert all(runner.ended and runner.drained for runner in graph.runners.values())
        np.testing.assert_array_equal(graph.sound()[: RATE // 2], 2 * noise(0, RATE // 2)[:, 0])


def test_finish_ends_sources_cleanly(live: Stage) -> None:
    live.run_for(0.5)
    for name in list(live.runners):
        live.command(name, commands.Finish())
    live.run_for(1)
    assert all(runner.ended for runner in live.runners.values())
    heard = int(np.flatnonzero(live.sound())[-1]) + 1
    np.testing.assert_array_equal(live.sound()[:heard], 2 * noise(0, heard)[:, 0])
    assert heard >= live.runners["song"].pacer.output_position - N, "what was sent is heard to its end"


def test_events_arrive_with_their_positions(tmp_path: Path) -> None:
    nodes = "song: {kind: noise, seconds: 0.1}\nmark: {kind: marker, in: song}\nears: {kind: ears, in: mark.marks}"
    for is_live in (False, True):
        with stage(graph_of(nodes), tmp_path, live=is_live) as graph:
            graph.run_for(0.3)
            heard = graph.node("ears").heard
            assert [position for position, _ in heard] == list(range(0, 4800, N))
            assert heard[3][1] == {"kind": "mark", "position": 3 * N, "node": "mark"}
            assert graph.events[0]["kind"] == "media" and len(graph.events) == 11


# -- live: kill -9 -----------------------------------------------------------------------------------


def steps(x: Samples) -> float:
    return float(np.abs(np.diff(x)).max())


@pytest.mark.parametrize("away_s", [0.02, 0.3, 1.5])
def test_a_separator_that_dies_is_bypassed_and_comes_back_unheard(tmp_path: Path, away_s: float) -> None:
    """Constant sound: whichever way it takes, it stays 2 throughout, and the offset stays what it was."""
    with stage(diamond("seed: 0"), tmp_path, live=True) as graph:
        graph.run_for(1)
        anchor = graph.anchor()
        graph.restart("late", away_s)
        graph.run_for(1.5)
        np.testing.assert_allclose(graph.sound(), 2, atol=1e-6)
        assert graph.anchor() == anchor
        positions(graph.frames())


def test_the_bypass_is_faded_both_ways_and_holds_only_while_it_must(tmp_path: Path) -> None:
    """The separator doubles, the bypass does not: the level tells which is heard."""
    with stage(diamond("seed: 0", "gain: 2", CHAIN), tmp_path, live=True) as graph:
        graph.run_for(1)
        graph.restart("late", 0.5)
        graph.run_for(1.5)
        got = graph.sound()
        assert steps(got) <= 1 / FADE + 1e-6
        dry = np.flatnonzero(got < 2)
        assert (got[dry[0] + FADE : dry[-1] - FADE] == 1).all()
        assert 0.2 * RATE < dry[-1] - dry[0] < 0.5 * RATE + 4096 + 4 * N, "its hop and its lead are all it adds"


def test_the_sound_after_a_restart_is_the_right_one(live: Stage) -> None:
    """Noise: every sample is at its place again, but for the two fades."""
    live.run_for(1)
    live.restart("late", 0.5)
    live.run_for(1.5)
    wrong = np.flatnonzero(np.abs(live.sound() - 2 * noise(0, len(live.sound()))[:, 0]) > 1e-6)
    assert len(wrong) <= 2 * FADE


@pytest.mark.parametrize("away_s", [0.05, 0.5])
def test_a_mixer_that_dies_goes_on_where_the_song_would_be(live: Stage, away_s: float) -> None:
    """Its listener hears a hole as long as it was away, then the song as if nothing had been."""
    live.run_for(1)
    anchor = live.anchor()
    live.restart("mix", away_s)
    live.run_for(1.5)
    frames = live.frames()
    holes = [(a.end, b.position) for a, b in zip(frames, frames[1:], strict=False) if b.position != a.end]
    assert len(holes) <= 1 and all(0 < b - a <= away_s * RATE + 3 * N for a, b in holes)
    assert live.anchor() == anchor
    for frame in frames:
        before = [b for a, b in holes if b <= frame.position < b + FADE]
        if not before:
            want = 2 * noise(frame.position - anchor, frame.samples)
            np.testing.assert_allclose(frame.audio(), want, atol=1e-6)


def test_a_consumer_that_dies_disturbs_nobody(tmp_path: Path) -> None:
    nodes = DIAMOND + "second: {kind: sink, inputs: {b: mix}}\n"
    with stage(diamond("seed: 1", nodes=nodes), tmp_path, live=True) as graph:
        graph.run_for(0.5)
        graph.restart("second", 1.0)
        graph.run_for(1)
        np.testing.assert_array_equal(graph.sound(), 2 * noise(0, len(graph.sound()))[:, 0])
        back = graph.frames("b", "second")
        assert back[-1].end == graph.frames()[-1].end
        assert graph.clock.now_ns() - back[0].captured_ns < 3 * SECOND


def test_a_recorder_that_dies_hears_what_it_missed(tmp_path: Path) -> None:
    """A `block` link is elastic: ten seconds of the past wait for whoever comes back and says from where."""
    nodes = DIAMOND.replace("{a: mix}", "{a: {from: mix, policy: block}}")
    with stage(diamond("seed: 1", nodes=nodes), tmp_path, live=True) as graph:
        graph.run_for(1)
        before = graph.frames()
        had = before[-1].end
        kind = type(graph.node("out"))
        kind.resume_position = lambda self, port: had
        try:
            graph.restart("out", 2.0)
        finally:
            del kind.resume_position
        graph.run_for(1)
        after = graph.frames()
        assert after[0].position == had
        positions(after)
        heard = np.concatenate([frame.audio() for frame in before + after])
        np.testing.assert_array_equal(heard, 2 * noise(0, len(heard)))


# -- transport ---------------------------------------------------------------------------------------


def test_after_a_pause_there_is_silence_after_ten_milliseconds(live: Stage) -> None:
    live.run_for(1)
    at = live.now_position
    live.transport("pause", playing=False)
    live.run_for(1)
    quiet = live.sound()[at + FADE + N :]
    assert len(quiet) > 0.9 * RATE and not quiet.any()
    assert not live.board("mix").get("count.concealed_samples"), "a pause is no loss"


def test_play_after_a_pause_goes_on_and_no_old_sound_is_heard(live: Stage) -> None:
    live.run_for(1)
    live.transport("pause", playing=False)
    live.run_for(0.7)
    came = live.runners["song"].pacer.output_position
    at = live.now_position
    live.transport("play")
    live.run_for(1)
    new = live.sound()[at:]
    start = int(np.flatnonzero(new)[0])
    assert start <= 0.3 * RATE, "sound within 300 ms"
    want = 2 * noise(came, len(new) - start)[:, 0]
    np.testing.assert_allclose(new[start + FADE :], want[FADE:], atol=1e-6)
    gain = new[start : start + FADE] / want[:FADE]
    assert gain[0] <= 3 / FADE and (np.diff(gain) >= -1e-3).all() and gain[-1] <= 1.001


@pytest.mark.parametrize("gap_s", [0.0, 0.003, 0.011, 0.05, 0.2])
def test_seek_after_seek_gives_only_the_last_one_and_no_click(tmp_path: Path, gap_s: float) -> None:
    """Impatient fingers: ten seeks. Constant sound, so that every click shows."""
    with stage(diamond("seed: 0"), tmp_path, live=True) as graph:
        graph.run_for(1)
        for _ in range(10):
            graph.transport("seek", seconds=5.0)
            if gap_s:
                graph.run_for(gap_s)
        graph.run_for(1)
        assert [command for command, _ in graph.node("song").commands] == ["seek"] * 10
        got = graph.sound()
        assert steps(got) <= 4 / FADE + 1e-6
        assert (got[-RATE // 2 :] == 2).all()


def test_what_was_cancelled_counts_as_cancelled_and_the_ledger_balances(live: Stage) -> None:
    live.run_for(1)
    live.transport("seek", seconds=5.0)
    live.run_for(1)
    check_ledgers(live)
    assert live.board("mix")["anchor_generation.song"] == 1
    assert live.node("late").resets == [(-1, "cancel")]


def test_a_seek_is_known_to_a_node_that_starts_later(live: Stage) -> None:
    live.run_for(0.5)
    live.transport("seek", seconds=5.0)
    live.run_for(0.5)
    live.restart("late", 0.3)
    live.run_for(1)
    got, anchor = live.sound()[-RATE // 2 :], live.anchor()
    first = len(live.sound()) - RATE // 2 - anchor
    np.testing.assert_allclose(got, 2 * noise(first, RATE // 2)[:, 0], atol=1e-6)


def test_a_source_that_does_not_know_a_command_says_so(live: Stage) -> None:
    replies = [
        live.command("song", commands.Transport("dance", id=4)),
        live.command("mix", commands.Transport("seek")),
        live.command("mix", commands.Transport("seek", id=6)),
        live.command("mix", commands.Set("inputs.wet.gian", 1, id=7)),
    ]
    assert replies == [
        Reply(4, error="song (noise) has no command 'dance'"),
        None,
        Reply(6, error="mix (sum) has no command 'seek'"),
        Reply(7, error="inputs.wet.gian: unknown setting, did you mean 'gain'?; known: gain"),
    ]


def test_a_seek_back_after_the_source_has_sent_its_end_is_heard(tmp_path: Path) -> None:
    """The song runs ahead of what is heard: its END is under way long before the last second is played."""
    with stage(diamond("seconds: 1, seed: 0"), tmp_path, live=True) as graph:
        graph.run_for(0.95)
        assert graph.runners["song"].ended and not graph.runners["mix"].ended
        graph.transport("seek", seconds=0.0)
        graph.run_for(0.5)
        assert (graph.sound()[-N:] == 2).all()


def test_a_seek_back_after_the_end_is_heard_by_nodes_without_outputs(tmp_path: Path) -> None:
    """What plays to another host has had its END before the last of the song is heard here."""
    nodes = DIAMOND + "second: {kind: sink, inputs: {b: song}}\nthird: {kind: sink, inputs: {b: late}}\n"
    with stage(diamond("seconds: 1, seed: 0", nodes=nodes), tmp_path, live=True) as graph:
        graph.run_for(0.95)
        assert graph.runners["second"].ended and graph.runners["third"].ended
        graph.transport("seek", seconds=0.0)
        graph.run_for(0.5)
        for name in ("second", "third"):
            assert graph.frames("b", name)[-1].generation == 1 and not graph.runners[name].ended
        graph.run_for(2)
        assert all(runner.ended for runner in graph.runners.values())


# -- overload ----------------------------------------------------------------------------------------


def check_ledgers(graph: LocalGraph) -> None:
    """offered = delivered + dropped + queued + in flight, on every link, to the frame."""
    boards = {name: graph.board(name) for name in graph.runners}
    for link in graph.run.plan.links:
        assert ledger(str(link.source), str(link.target), boards) == 0, link


def ledger(source: str, target: str, boards: dict[str, Reading]) -> float:
    node, _, port = source.partition(".")
    consumer, _, name = target.partition(".")
    sent, taken = boards[node].under(f"out.{port}>{target}."), boards[consumer].under(f"in.{node}.{port}>{name}.")
    dropped = sum(value for side in (sent, taken) for key, value in side.items() if key.startswith("dropped."))
    unaccounted = sent["offered"] - taken.get("delivered", 0) - dropped - sent["queued"]
    return unaccounted - (sent["sent"] - taken.get("received", 0)) - (taken.get("received", 0) - used(taken))


def used(taken: dict[str, float]) -> float:
    return taken.get("delivered", 0) + sum(value for key, value in taken.items() if key.startswith("dropped."))


@pytest.mark.parametrize("work_ms", [11, 25, 100])
def test_an_overloaded_consumer_hears_nothing_older_than_its_budget(tmp_path: Path, work_ms: int) -> None:
    """Every frame of 10 ms takes longer than that to be used: frames are lost, and those used are young."""
    nodes = "song: {kind: noise, ahead: false}\nout: {kind: sink, inputs: {a: {from: song, budget_ms: 150}}}"
    with stage(graph_of(nodes), tmp_path, live=True, work_ms={"out": work_ms}) as graph:
        graph.run_for(10)
        board = graph.board("out")
        (link,) = graph.run.plan.links
        assert board["age.a.max"] <= link.budget_ms + link.latency_ms + 10
        assert board["in.song.out>a.delivered"] >= 0.8 * 10_000 / work_ms, "what can be used is"
        check_ledgers(graph)


def test_a_node_that_was_overloaded_recovers_without_a_restart(tmp_path: Path) -> None:
    """Two seconds of a busy machine, 40 ms of work for every 10 ms of sound; then all is as it was."""
    with stage(diamond("seed: 0"), tmp_path, live=True, work_ms={"late": 0.0}) as graph:
        graph.run_for(1)
        anchor = graph.anchor()
        graph.work_ms["late"] = 40.0
        graph.run_for(2)
        graph.work_ms["late"] = 0.0
        graph.run_for(2)
        got = graph.sound()
        assert ((got >= 1 - 1e-6) & (got <= 2 + 1e-6)).all() and steps(got) <= 2 / FADE + 1e-6
        assert graph.board("mix")["count.concealed_samples"] > 0
        assert (got[-RATE:] == 2).all() and graph.anchor() == anchor, "no catching up, no lasting delay"
        check_ledgers(graph)


def test_a_mixer_that_was_held_up_skips_and_is_live_again(live: Stage) -> None:
    live.run_for(1)
    anchor = live.anchor()
    live.hold_up("mix", 800)
    live.run_for(2)
    assert live.board("mix")["count.skipped_samples"] > 0.6 * RATE
    assert live.anchor() == anchor
    last = live.frames()[-1]
    assert live.now_position - last.end <= 2 * N
    np.testing.assert_allclose(last.audio(), 2 * noise(last.position - anchor, last.samples), atol=1e-6)
    assert any(frame.flags & Flag.DISCONTINUITY for frame in live.frames())


def test_an_absent_listener_stalls_nobody(tmp_path: Path) -> None:
    """An optional node that could not be opened listens to nothing; offline its full queue must not stop the rest."""
    nodes = DIAMOND + "second: {kind: sink, optional: true, inputs: {b: mix}}\n"
    with stage(diamond("seconds: 1", nodes=nodes), tmp_path) as graph:
        graph.kill("second")
        for name in list(graph.runners):
            graph.command(name, commands.Absent("second"))
        graph.run_to_end()
        np.testing.assert_array_equal(graph.sound(), 2 * noise(0, RATE)[:, 0])


def test_a_node_that_was_given_up_is_played_for_again_when_its_source_is_sought_back(tmp_path: Path) -> None:
    """It comes back after nobody waited for it any more: its producers have dropped all that was for it."""
    nodes = DIAMOND + "second: {kind: sink, inputs: {b: mix}}\n"
    with stage(diamond("seconds: 1, seed: 0", nodes=nodes), tmp_path, live=True) as graph:
        graph.run_for(0.9)
        for gone in ("late", "second"):
            graph.kill(gone)
            for name in list(graph.runners):
                graph.command(name, commands.Absent(gone))
        graph.transport("seek", seconds=0.0)
        for back in ("late", "second"):
            graph.revive(back, generations={"song": graph.generation})
            graph.run_for(0.1)
            for name in list(graph.runners):
                graph.command(name, commands.Present(back))
        graph.run_for(0.7)
        assert (graph.sound()[-N:] == 2).all(), "what it gives is heard again"
        assert (graph.sound("b", "second")[-N:] == 2).all(), "what it takes is sent again"
        graph.run_for(2)
        assert all(runner.ended for runner in graph.runners.values())


def test_a_mixer_that_comes_back_learns_that_an_input_ended_long_ago(tmp_path: Path) -> None:
    nodes = """
song: {kind: noise, seconds: 9}
gone: {kind: noise, seconds: 0.5, seed: 2}
mix: {kind: sum, inputs: {a: {from: song, on_loss: silence}, b: {from: gone, on_loss: silence}}}
out: {kind: sink, inputs: {a: mix}}
"""
    with stage(graph_of(nodes), tmp_path, live=True) as graph:
        graph.run_for(4)
        graph.restart("mix", 0.2)
        graph.run_for(7)
        assert graph.runners["mix"].ended and graph.runners["out"].ended
