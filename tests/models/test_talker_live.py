"""A talker in a thread of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from audio_pipeline.models.speech.engine import Array, Cancelled
from audio_pipeline.models.speech.joins import Piece
from audio_pipeline.models.speech.talker import Talker
from audio_pipeline.models.speech.talker_live import AHEAD_S, LiveTalker, at_rate
from audio_pipeline.models.speech.talker_report import TalkerReport
from tests.models.test_speech_engine import Parts
from tests.models.test_talker import Beeps
from tests.nodes.fake import InTurn
from tests.patience import PATIENCE_S


def instead(talker: LiveTalker, text: str) -> None:
    """A whole text in place of whatever is being said."""
    talker.cancel()
    talker.write(text)
    talker.end()


def test_a_long_text_is_made_no_further_ahead_than_needed() -> None:
    """10 000 characters are 200 s of beeps; never more than half a minute and one piece of it lies there."""
    longest = 250 / 5 * 0.1 + 1.0
    with ThreadPoolExecutor(1) as pool:
        talker = LiveTalker(Talker(Beeps(), None), 8_000, pool, lambda: None)
        talker.write("word " * 2_000)
        talker.end()
        taken = most = 0
        while talker.busy:
            most = max(most, talker._ready_samples)
            taken += len(talker.take(8_000).sound)
    assert taken > 190 * 8_000
    assert most <= (AHEAD_S + longest) * 8_000


class Stuck(Beeps):
    """An engine in the middle of a synthesis until it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.stopped = threading.Event(), threading.Event()

    def synthesise(self, text: str) -> Array:
        if "stuck" not in text:
            return super().synthesise(text)
        self.begun.set()
        assert self.stopped.wait(PATIENCE_S)
        raise Cancelled

    def cancel(self) -> None:
        if self.begun.is_set():
            self.stopped.set()


def test_cancel_reaches_the_synthesis_under_way_and_the_next_text_is_said() -> None:
    engine = Stuck()
    with ThreadPoolExecutor(1) as pool:
        talker = LiveTalker(Talker(engine, None), 24_000, pool, lambda: None)
        instead(talker, "I am stuck.")
        assert engine.begun.wait(PATIENCE_S) and talker.making
        assert talker.cancel()
        assert not talker.busy
        instead(talker, "Something else.")
        while talker.making:
            pass
        spoken = talker.take(1 << 30)
    assert [mark.data["text"] for mark in spoken.marks if mark.kind == "clause"] == ["Something else."]
    assert not talker.failed and talker.broken is None


@pytest.mark.parametrize("size", [1, 480, 1 << 30])
def test_what_streams_keeps_its_sound_and_its_marks_at_another_rate(size: int) -> None:
    talker = LiveTalker(Talker(Parts(2_000), None), 48_000, InTurn(), lambda: None)
    instead(talker, "One two.")
    parts, kinds = [], []
    while talker.busy:
        spoken = talker.take(size)
        parts.append(spoken.sound)
        kinds += [mark.kind for mark in spoken.marks]
    whole = np.concatenate([piece.sound for piece in Talker(Parts(2_000), None).synthesise(["One two."])])
    (expected,) = at_rate([Piece("One two.", whole)], 24_000, 48_000)
    assert np.concatenate(parts) == pytest.approx(expected.sound, abs=1e-4)
    assert kinds == ["clause", "clause_end"]


def test_a_voice_that_is_too_slow_is_told_from_a_text_that_is() -> None:
    """Samples that are missing while it is being made are a hole; those while nobody has written yet are none."""
    report = TalkerReport(1_000)
    talker = LiveTalker(Talker(Beeps(), None), 1_000, InTurn(), lambda: None)
    report.asked(0)
    instead(talker, "One.")
    notices = list(report.notices(talker.take(10), 0, 50_000_000, making=True, busy=True))
    assert notices[0].kind == "start" and notices[0].data == {"after_ms": 50.0}
    list(report.notices(talker.take(0), 200, 0, making=True, busy=True))
    list(report.notices(talker.take(0), 300, 0, making=False, busy=True))
    notices = list(report.notices(talker.take(10), 0, 0, making=True, busy=True))
    assert notices[0] == ("starved", 0, {"ms": 200})
    assert [one.kind for one in report.notices(talker.take(1 << 30), 0, 0, making=False, busy=False)][-1] == "done"
