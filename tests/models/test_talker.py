"""Speech from text that comes bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError, WeightsError
from audio_pipeline.models.hearing import perth
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.clauses import Clause
from audio_pipeline.models.speech.engine import Array
from audio_pipeline.models.speech.joins import PAUSE_S, spoken, trimmed
from audio_pipeline.models.speech.kokoro import RATE, ROWS, STEADY_ROW, STYLE, row
from audio_pipeline.models.speech.light_voice import LightVoice
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.speech.talker import Talker
from audio_pipeline.models.voices.by_name import open_voice
from audio_pipeline.models.weights import store

STORY = "Well, hello there. Three of us went to the old mill, because it rained. Nobody else was there, of course."


class Beeps:
    """An engine that says a tenth of a second of tone a word, between silences as synthesisers have them."""

    rate = 24_000

    def __init__(self) -> None:
        self.texts: list[str] = []

    def synthesise(self, text: str) -> Array:
        self.texts.append(text)
        n = len(text.split()) * self.rate // 10
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(n) / self.rate)
        return np.concatenate([np.zeros(9_000), tone, np.zeros(12_000)]).astype(np.float32)


def test_lead_and_tail_go_and_no_step_is_left() -> None:
    """15 ms before and 40 ms after the sound stay; at both ends a fade: no step above 0.02 of full scale."""
    y = trimmed(Beeps().synthesise("one two"), 24_000)
    assert len(y) / 24_000 == pytest.approx(0.2 + 0.055, abs=0.002)
    assert abs(y[0]) < 0.02 and abs(y[-1]) < 0.02


@pytest.mark.parametrize("x", [np.zeros(0, np.float32), np.zeros(5_000, np.float32)])
def test_nothing_is_nothing(x: Array) -> None:
    assert len(trimmed(x, 24_000)) == 0


def test_pauses_follow_the_punctuation() -> None:
    pieces = list(spoken(Beeps(), [Clause("one,", False), Clause("two.", True)]))
    lengths = [len(piece.sound) / 24_000 - 0.1 - 0.055 for piece in pieces]
    assert lengths == pytest.approx([PAUSE_S[False], PAUSE_S[True]], abs=0.003)


def test_speech_begins_before_the_text_has_ended() -> None:
    asked: list[str] = []

    def written() -> Iterator[str]:
        for word in STORY.split(" "):
            asked.append(word)
            yield word + " "

    engine = Beeps()
    first = next(Talker(engine, None).synthesise(written()))
    assert first.text == "Well, hello there."
    assert len(asked) < 6


def test_every_word_is_said_once_in_order() -> None:
    engine = Beeps()
    list(Talker(engine, None).synthesise(STORY[i : i + 7] for i in range(0, len(STORY), 7)))
    assert " ".join(engine.texts) == STORY


def test_the_light_voice_says_numbers_and_is_the_same_each_time() -> None:
    engine = LightVoice()
    long, short = engine.synthesise("It cost $1,250 in 1999."), engine.synthesise("It cost.")
    assert len(long) > 2 * len(short) > engine.rate
    assert np.array_equal(short, LightVoice().synthesise("It cost."))
    assert to_phonemes("2 kg") == to_phonemes("two kilograms")


@pytest.mark.parametrize("text", ["", "😀😀", "Москва", "。。", "Hello Москва 你好 😀 world.", "\x00\x07 \ufffd"])
def test_what_it_cannot_read_ends_in_silence_or_sound_but_never_in_an_error(text: str) -> None:
    assert LightVoice().synthesise(text).ndim == 1


def test_what_is_spoken_carries_the_mark() -> None:
    if store.locate("perth").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch perth)")
    networks = perth.load()
    pieces = list(Talker(LightVoice(), networks).synthesise([STORY]))
    sound = np.concatenate([piece.sound for piece in pieces])[:, None]
    assert perth.confidence(networks, sound, 24_000) > 0.95
    assert min(perth.confidence(networks, piece.sound[:, None], 24_000) for piece in pieces) > 0.5


def test_short_pieces_keep_to_the_steady_rows() -> None:
    pack = np.arange(ROWS, dtype=np.float32)[:, None] * np.ones(STYLE, np.float32)
    assert [row(pack, n)[0] for n in (1, STEADY_ROW, 200, 600)] == [STEADY_ROW, STEADY_ROW, 199, ROWS - 1]


def test_kokoro_speaks_and_clauses_are_equally_loud() -> None:
    """Within 2 dB: without the steady rows a short clause comes out 4 dB softer."""
    if store.locate("kokoro").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch kokoro)")
    engine = open_voice("jf_alpha")
    assert engine.rate == RATE
    sounds = [trimmed(engine.synthesise(text), RATE) for text in ("Well, hello.", "Three of us went to the old mill.")]
    levels = [10 * np.log10(np.mean(sound**2)) for sound in sounds]
    assert abs(levels[0] - levels[1]) < 2


def test_an_unknown_voice_is_named_with_those_that_are_here() -> None:
    if store.locate("kokoro").folder is None:
        pytest.skip("the weights are not here (audio-pipeline models fetch kokoro)")
    with pytest.raises(ConfigError, match="voice: unknown 'jf_alfa', did you mean 'jf_alpha'"):
        open_voice("jf_alfa")


def test_parts_that_do_not_join_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1-part.bin").write_bytes(b"x")
    with pytest.raises(WeightsError, match="the parts of Kokoro join to sha256 2d711642b726"):
        kokoro.from_parts(tmp_path, tmp_path)
