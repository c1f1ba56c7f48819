"""Made speech ends where it has ended."""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.dsp.babble import KEEP_S, PAUSE_S, SpeechEnd

RATE = 24_000


def tone(seconds: float, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 220 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def ended(x: np.ndarray, size: int) -> np.ndarray:
    end = SpeechEnd(RATE)
    parts = [end.process(x[at : at + size]) for at in range(0, len(x), size)] if size else [end.process(x[:0])]
    return np.concatenate([*parts, end.process(x) if not size else x[:0], end.flush()])


@pytest.mark.parametrize("size", [0, 1, 17, 480, 1_024])
@pytest.mark.parametrize("length", [0, 100, 60_001])
def test_streamed_is_one_shot(size: int, length: int) -> None:
    x = np.concatenate([tone(0.3), silence(0.4), tone(0.2), silence(2), tone(1)])[: length or None if length else 0]
    assert np.array_equal(ended(x, size), ended(x, len(x) or 1))


def test_speech_and_its_pauses_pass_untouched() -> None:
    x = np.concatenate([tone(0.3), silence(PAUSE_S - 0.1), tone(0.5, 0.05)])  # 20 dB softer is still speech
    assert np.array_equal(ended(x, 480), x)


def test_what_follows_a_long_silence_is_never_heard() -> None:
    x = np.concatenate([tone(0.5), silence(PAUSE_S + 0.05), tone(2)])
    y = ended(x, 480)
    assert len(y) == round((0.5 + KEEP_S) * RATE)
    assert np.array_equal(y[: RATE // 2], x[: RATE // 2])


def test_of_the_silence_at_the_end_a_little_stays() -> None:
    y = ended(np.concatenate([tone(0.5), silence(1)]), 480)
    assert len(y) == round((0.5 + KEEP_S) * RATE)


def test_silence_alone_is_no_speech_that_has_ended() -> None:
    end = SpeechEnd(RATE)
    end.process(silence(5))
    assert not end.ended
    assert len(end.process(tone(0.1))) >= 0.1 * RATE  # however late it begins


def test_the_end_is_known_while_the_sound_comes_and_reset_forgets_it() -> None:
    end = SpeechEnd(RATE)
    end.process(np.concatenate([tone(0.5), silence(PAUSE_S)]))
    assert end.ended
    assert not len(end.process(tone(1))) and not len(end.flush())
    assert np.array_equal(np.concatenate([end.process(tone(0.5)), end.flush()]), tone(0.5))
