"""What XTTS is given to say, and how long it may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.speech.clauses import ClauseSplitter
from audio_pipeline.models.speech.xtts_text import (
    LIMITS,
    STEP_S,
    checked_language,
    cleaned,
    most_tokens,
    pieces,
    policy,
)

LONG = "It was a bright cold day in April, and the clocks were striking thirteen. " * 12


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("“Go!” she said", "Go! she said."),
        ("'tis the dog's dinner'", "tis the dog's dinner."),
        ("«Oui», dit-elle.", "Oui, dit-elle."),
        ("Well —", "Well."),
        ("  two\n lines ", "two lines."),
        ("„Ja“ 「はい」。", "Ja はい。"),
        ('"', ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_quotes_go_and_every_piece_ends_with_a_stop(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@pytest.mark.parametrize("language", LIMITS)
def test_no_piece_is_longer_than_the_language_allows_and_no_word_is_lost(language: str) -> None:
    found = pieces(LONG, language)
    assert max(map(len, found)) <= LIMITS[language]
    words = [word.strip(".,") for piece in found for word in piece.split()]
    assert words == [word.strip(".,") for word in LONG.split()]


@given(st.text(max_size=600))
def test_any_text_is_cut_to_what_the_model_takes(text: str) -> None:
    assert all(0 < len(piece) <= LIMITS["ja"] for piece in pieces(text, "ja"))


def test_first_pieces_have_about_five_words() -> None:
    splitter = ClauseSplitter(policy("en"))
    first = next(iter(splitter.push("Well, I am not so sure about that, to be honest with you, my friend. ")))
    assert len(first.text.split()) >= 5


def test_ordinary_speech_fits_and_babble_does_not() -> None:
    """English at 14 characters a second is 70 ms for each; babble fills the model's 600 tokens, 28 s."""
    text = "Nobody was there, of course, since it had rained all day."
    assert len(text) * 0.07 < most_tokens(text, "en") * STEP_S < 12
    assert most_tokens("Hi.", "en") * STEP_S < 2.5
    assert most_tokens("今日は良い天気です。", "ja") > most_tokens("a" * 10, "en")


def test_unknown_language_is_named() -> None:
    with pytest.raises(ConfigError, match="language: unknown 'en-gb'; XTTS speaks en, de"):
        checked_language("en-gb")
