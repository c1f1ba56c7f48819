"""Text that is still being written, cut into pieces to speak."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.models.speech.clauses import Clause, ClauseSplitter, Policy

STORY = (
    "Well, hello there. Dr. Smith paid $3.50 for it, i.e. nothing! Did J. K. Rowling know? "
    "The old clock in the hall, which had not struck for years, began to tick again that night; nobody heard it."
)


def pieces(text: str, size: int = 1 << 30, policy: Policy | None = None) -> list[Clause]:
    splitter = ClauseSplitter(policy)
    found: list[Clause] = []
    for at in range(0, len(text), size):
        found += splitter.push(text[at : at + size])
    return [*found, *splitter.flush()]


@pytest.mark.parametrize("size", [1, 5, 1 << 30])
def test_the_first_piece_is_short_and_later_ones_are_whole_sentences(size: int) -> None:
    assert [piece.text for piece in pieces(STORY, size)] == [
        "Well, hello there.",
        "Dr. Smith paid $3.50 for it,",
        "i.e. nothing! Did J. K. Rowling know?",
        "The old clock in the hall, which had not struck for years, began to tick again that night; nobody heard it.",
    ]


@pytest.mark.parametrize("size", [1, 3, 17, 1 << 30])
def test_no_word_is_lost_however_the_text_comes(size: int) -> None:
    assert " ".join(piece.text for piece in pieces(STORY, size)).split() == STORY.split()


@pytest.mark.parametrize("text", ["Dr. Smith came home. Then he left.", "It cost 3.5 euros. Not more."])
def test_points_inside_a_sentence_end_nothing(text: str) -> None:
    first, _, second = text.rpartition(". ")
    assert [piece.text for piece in pieces(text, policy=Policy(first_least=1, growth=1.0))] == [f"{first}.", second]


def test_a_text_without_any_stop_is_cut_between_words() -> None:
    found = pieces("word " * 500)
    assert max(len(piece.text) for piece in found) <= 250
    assert len(found[0].text) <= 60
    assert all(piece.text.split() == ["word"] * len(piece.text.split()) for piece in found)


def test_a_word_longer_than_any_piece_is_cut() -> None:
    assert "".join(piece.text for piece in pieces("x" * 50_000)) == "x" * 50_000


def test_a_last_word_is_said_with_what_stands_before_it() -> None:
    text = "Nobody had been in the house for years. The old clock stood still and silent in the hall. Yes."
    assert pieces(text)[-1].text.endswith("hall. Yes.")
    assert pieces(text, 1)[-1].text.endswith("hall. Yes.")


def test_in_a_hurry_whatever_is_certain_is_a_piece() -> None:
    splitter = ClauseSplitter()
    assert [piece.text for piece in splitter.push("Well, hello there. My friend. This")] == ["Well, hello there."]
    assert [piece.text for piece in splitter.hurry()] == ["My friend."]
    assert [piece.text for piece in splitter.hurry()] == []
    assert [piece.text for piece in (*splitter.push(" is all."), *splitter.flush())] == ["This is all."]


def test_what_stalls_is_a_piece_and_more_may_follow() -> None:
    splitter = ClauseSplitter()
    assert [piece.text for piece in splitter.push("Three of us went")] == []
    assert [piece.text for piece in splitter.settle()] == ["Three of us went"]
    assert [piece.text for piece in (*splitter.push(" to the mill."), *splitter.flush())] == ["to the mill."]


@pytest.mark.parametrize("text", ["", "   \n ", "😀😀", "... !!! ---"])
def test_what_nobody_can_say_is_no_piece(text: str) -> None:
    assert pieces(text) == []


def test_ends_of_sentences_are_known() -> None:
    found = pieces("First part, then more. Second?", policy=Policy(first_least=5, tiny=1))
    assert [piece.ends_sentence for piece in found] == [False, True, True]


@given(st.text(alphabet=st.sampled_from("ab .,!?;\n\"'Dr3"), max_size=300), st.integers(1, 50))
def test_any_text_in_any_portions_keeps_its_letters(text: str, size: int) -> None:
    spoken = "".join(char for piece in pieces(text, size) for char in piece.text if char.isalnum())
    assert spoken == "".join(char for char in text if char.isalnum())
