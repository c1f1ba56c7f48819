"""A node that lost its input makes sound of what was made up; who has the true input is better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.align.aligner import Aligner
from audio_pipeline.align.concealed_spans import ConcealedSpans
from audio_pipeline.frame import Flag, Samples, audio_frame
from audio_pipeline.refs import LinkKey
from audio_pipeline.supervisor.local import LocalGraph
from tests.engine.graphs import align_spec, graph_of, link_key, noise

RATE, N, FADE = 48_000, 480, 480
LOST = range(10, 20)  # frames
SECOND = 1_000_000_000


def test_spans_are_joined_found_and_forgotten() -> None:
    spans = ConcealedSpans()
    for start, end in ((10, 20), (20, 30), (50, 60), (60, 60)):
        spans.note(start, end)
    assert [spans.first_in(*span) for span in ((0, 10), (0, 11), (15, 16), (29, 50), (30, 50), (30, 51), (60, 99))] == [
        None,
        10,
        15,
        29,
        None,
        50,
        None,
    ]
    spans.discard_before(30)
    assert spans.first_in(0, 40) is None and spans.first_in(0, 51) == 50
    spans.clear()
    assert spans.first_in(0, 99) is None


def heard(*, standby: bool, standby_lost: bool) -> Samples:
    """A node's output is -1, its true input 1; of frames LOST it made its own input up."""
    spec = align_spec("a", "song", 10 * RATE, on_loss="bypass", standby=standby)
    aligner = Aligner([spec], frame_samples=N, fade_samples=FADE, live=True, count=lambda name, amount: None)
    blocks = []
    for i in range(40):
        now_ns = (i + 1) * 10_000_000
        for port, value, concealed in (("a", -1.0, True), ("a~bypass", 1.0, standby_lost)):
            for ahead in range(i, i + 3) if i == 0 else (i + 2,):
                flags = Flag.CONCEALED if concealed and ahead in LOST else Flag.NONE
                block = np.full((N, 1), value, np.float32)
                frame = audio_frame(block, ahead * N, RATE, flags=flags, captured_ns=now_ns)
                if standby or "~" not in port:
                    aligner.push(link_key(port), frame, 0, now_ns)
        blocks.append(aligner.tick(i * N, N, now_ns)["a"][0])
    return np.concatenate(blocks)[:, 0]


def test_the_true_input_stands_in_for_what_was_made_of_a_lost_one() -> None:
    y = heard(standby=True, standby_lost=False)
    first, last = LOST[0] * N, (LOST[-1] + 1) * N
    assert (y[first + FADE : last] == 1).all(), "the bypass, for as long as it is true"
    assert (y[2 * FADE : first] == -1).all() and (y[last + N + 2 * FADE :] == -1).all()
    assert np.abs(np.diff(y)).max() <= 2.5 / FADE, "a fade of 10 ms over a step of 2, no click"


@pytest.mark.parametrize(("standby", "standby_lost"), [(False, False), (True, True)])
def test_where_nobody_has_the_true_input_the_node_is_heard(standby: bool, standby_lost: bool) -> None:
    assert (heard(standby=standby, standby_lost=standby_lost)[2 * FADE :] == -1).all()


def test_what_a_node_makes_of_a_hole_is_marked_and_the_mixer_bypasses_it(tmp_path: Path) -> None:
    """Frames are taken from a node's link, as a link does with those that waited too long."""
    graph = graph_of("""
song: {kind: noise}
late: {kind: delay, hop: 4096, gain: 0, in: song}
mix: {kind: sum, inputs: {wet: {from: late, on_loss: bypass}}}
out: {kind: sink, inputs: {a: mix}}
""")
    with LocalGraph(graph, tmp_path, live=True) as local:
        start = local.clock.now_ns()
        local.run_until(start + SECOND)
        link = local.runners["late"].inputs[LinkKey("in")].link
        take = link.take
        lost = []

        def lossy():  # type: ignore[no-untyped-def]
            frame = take()
            if frame is not None and len(lost) < 20 and frame.samples:
                lost.append(frame.position)
                link.dropped("stale")
                return take()
            return frame

        link.take = lossy  # type: ignore[method-assign]
        local.run_until(start + 3 * SECOND)
        frames = local.runners["out"].node.frames["a"]  # type: ignore[attr-defined]
        anchors = local.board("mix").under("anchor.")
    assert len(lost) == 20
    sound = np.concatenate([frame.audio() for frame in frames])[:, 0]
    dry = noise(0, len(sound))[:, 0]
    moved = int(anchors["song"]) - frames[0].position
    inside = slice(lost[0] + moved + N, lost[-1] + moved)
    assert np.abs(sound[inside]).max() > 0.1, "the node puts out silence, the dry song is heard"
    np.testing.assert_allclose(sound[inside], dry[inside.start - moved : inside.stop - moved], atol=1e-6)
