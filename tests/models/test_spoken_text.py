"""Written English as it is said: a table of texts, and what holds for any text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_pipeline.models.speech.clauses import for_a_file
from audio_pipeline.models.speech.engine import Array
from audio_pipeline.models.speech.phonemes import in_dictionary, spoken_text, to_phonemes
from audio_pipeline.models.speech.talker import Talker
from audio_pipeline.models.speech.text.stream import MOST_GROUP, MOST_NAMED, MOST_WORD, SpokenText

TABLE = Path(__file__).with_name("spoken_texts.tsv")
SIGNS = "abe AM.,:;-–—−'\"()[]{}<>&#@/\\*_~`^|+=%$€£°²½…0123456789\n\t \u00a0\u00ad\u200b\ud800\x00éßМ你😀kmIVX"


def table() -> Iterator[tuple[str, str]]:
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("# written"):
            written, spoken = (
                re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), cell)
                for cell in line.replace("⏎", "\n").split("\t")
            )
            yield written, spoken.replace("\n", "\n\n")


TEXTS = list(table())


def read_out(text: str, size: int = 1 << 30) -> str:
    reading = SpokenText(in_dictionary)
    parts = [reading.push(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join([*parts, reading.flush()]).strip()


class Listed:
    """An engine that notes what it is given."""

    rate = 1_000

    def __init__(self) -> None:
        self.texts: list[str] = []

    def synthesise(self, text: str) -> Array:
        self.texts.append(text)
        return np.ones(10, np.float32)


def spoken(text: str, size: int, talker: Talker | None = None) -> list[str]:
    """The clauses that an engine is given of a text in portions of that size."""
    talker = talker or Talker(Listed(), None)
    list(talker.synthesise(text[at : at + size] for at in range(0, len(text), size)))
    assert isinstance(talker.engine, Listed)
    return talker.engine.texts


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(TEXTS) >= 300 and len(dict(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("start", range(0, len(TEXTS), 50))
def test_texts_are_said_as_people_say_them(start: int) -> None:
    part = dict(TEXTS[start : start + 50])
    assert {written: read_out(written) for written in part} == part
    assert {spoken_: read_out(spoken_) for spoken_ in part.values()} == {each: each for each in part.values()}


@pytest.mark.parametrize("start", range(8))
def test_texts_are_said_the_same_letter_by_letter(start: int) -> None:
    part = dict(TEXTS[start::16])
    assert {written: read_out(written, 1) for written in part} == part


@pytest.mark.parametrize("size", [1, 17, 480, 1 << 30])
def test_whole_and_in_pieces_the_same_words_are_spoken(size: int) -> None:
    """Texts of the table as one: no cut lies inside of a number, and the clauses are those of the whole text."""
    text = ". Then ".join(written for written, _ in TEXTS[:: 24 if size == 1 else 6] if "\n" not in written)
    whole = spoken(text, 1 << 30)
    assert spoken(text, size) == whole
    assert " ".join(whole).split() == read_out(text).split()


@given(st.text(alphabet=st.sampled_from(SIGNS), max_size=120), st.integers(1, 40))
@example("\ud83d\ude00 5\n-\n\n1.\r", 1)
def test_any_text_in_any_portions_gives_the_same_plain_words(text: str, size: int) -> None:
    whole = read_out(text)
    assert read_out(text, size) == whole
    assert not re.search(r"[^A-Za-zÀ-ɏ\s.,;:!?\"'()—-]", whole), whole


@given(st.from_regex(r"\A[-−$€£]?\d{1,9}([.,]\d{1,3}){0,2} ?(km|€|%|°C|am|bn|GB)?\Z"), st.integers(1, 8))
def test_a_number_that_comes_in_two_portions_is_one_number(number: str, cut: int) -> None:
    text = f"It was {number} then."
    reading = SpokenText(in_dictionary)
    at = 7 + min(cut, len(number))
    parts = reading.push(text[:at]), reading.push(text[at:]), reading.flush()
    assert "".join(parts).strip() == read_out(text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Hello 😀 world", "'😀'"),
        ("Привет, мир and 你好", "'Привет', 'мир', '你好'"),
        ("plain words", ""),
        ("a\ud800b", ""),
        ("x" * 1_000_000, "'xxxxxxxxxxxxxxxxxxxx… (1000000 signs without a blank)'"),
        (" ".join("абвгдежз"), "'а', 'б', 'в', 'г', 'д' and 3 more"),
    ],
)
def test_what_cannot_be_said_is_named(text: str, named: str) -> None:
    reading = SpokenText(in_dictionary)
    reading.push(text)
    reading.flush()
    assert len(reading.left_out) <= MOST_NAMED
    assert reading.take_left_out() == named
    assert reading.take_left_out() == ""


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "word,word;" * 10_000,
        "\0" * 300_000,
        "!?.,;:-" * 5_000,
        "\ud800" * 100_000,
        "\n" * 10_000,
        " " * 300_000,
        "1," * 5_000,
        "a\n" * 10_000,
        "." * 100_000,
        ". " * 20_000,
        "[" * 100_000,
        "a\u0301" * 100_000,
        "1 " * 5_000,
        "<a " * 5_000,
        "=" * 100_000,
        "-\n" * 10_000,
        "`" * 100_000,
        "-" * 299 + "x",
        "5 km " * 2_000,
    ],
    ids=lambda text: repr(text[:9]),
)
def test_no_text_is_endless_work(text: str) -> None:
    """What is kept while it comes has a bound, whatever comes; and each clause is one that an engine can take."""
    reading = SpokenText(in_dictionary)
    for at in range(0, len(text), 1000):
        reading.push(text[at : at + 1000])
        assert len(reading._raw) <= 2 * (MOST_GROUP + MOST_WORD) + 1000
        assert len(reading._layout._line) <= 2000
    reading.flush()
    assert max(map(len, spoken(text[:5_000], 1000)), default=0) <= 250


def test_speech_is_not_waiting_for_the_end_of_a_long_text() -> None:
    portion = "It is a fine day, and nobody minds. " * 30_000  # a million characters
    engine = Listed()
    next(Talker(engine, None).synthesise([portion]))
    assert engine.texts == ["It is a fine day,"]


@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        ("The old clock in the\nhall began to tick\nagain.", ["The old clock in the hall began to tick again."]),
        ("# The clock\nIt had not struck for years.", ["The clock", "It had not struck for years."]),
        ("First of all\n\nSecond of all", ["First of all", "Second of all"]),
        ("- one apple here\n- two apples there", ["one apple here", "two apples there"]),
    ],
)
def test_a_line_break_ends_no_sentence_but_a_paragraph_does(written: str, pieces: list[str]) -> None:
    engine = Listed()
    clauses = list(Talker(engine, None).synthesise([written]))
    assert " ".join(engine.texts) == " ".join(pieces)
    pauses = [len(clause.sound) - len(clause.sound.nonzero()[0]) for clause in clauses]
    inside = len(engine.texts) - len(pieces)  # cuts of the long sentence lie at none of its line ends
    assert sum(pause >= 250 for pause in pauses) == len(pieces) and inside <= 1


def test_a_file_has_no_cut_inside_of_a_sentence() -> None:
    story = (
        "Well, hello there, said the clock, which had not struck for years; and nobody, not even the cat, had heard "
        "it before that night in the hall of the old house by the mill. It struck. Nobody came, of course."
    )
    pieces = spoken(story, 7, Talker(Listed(), None, for_a_file(None)))
    assert " ".join(pieces) == story
    assert all(piece[-1] == "." for piece in pieces)


def test_a_sentence_that_is_too_long_for_a_voice_is_cut_at_a_comma() -> None:
    story = "and so it went, " * 100
    pieces = spoken(story, 1 << 30, Talker(Listed(), None, for_a_file(None)))
    assert max(map(len, pieces)) <= 400 and all(piece.endswith(",") for piece in pieces)


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("the lead pipe", "the led pipe"),
        ("He will lead them.", "He will leed them."),
        ("I read it yesterday.", "I red it yesterday."),
        ("I read books every day.", "I reed books every day."),
        ("I have read it.", "I have red it."),
        ("Did you read it?", "Did you reed it?"),
        ("to read aloud", "to reed aloud"),
        ("a bow and arrow", "a beau and arrow"),
        ("He took a bow.", "He took a bough."),
        ("lead poisoning", "led poisoning"),
        ("the lead singer", "the leed singer"),
        ("well read", "well red"),
        ("She read the letter.", "She red the letter."),
    ],
)
def test_homographs_sound_as_the_sentence_wants(text: str, like: str) -> None:
    assert to_phonemes(text) == to_phonemes(like)


@pytest.mark.parametrize(
    ("text", "word", "phonemes"),
    [
        ("live music", 0, "lˈIv"),
        ("They live here.", 1, "lˈɪv"),
        ("Close the door.", 0, "klˈOz"),
        ("a close call", 1, "klˈOs"),
        ("Wind the clock.", 0, "wˈInd"),
        ("The wind blew.", 1, "wˈɪnd"),
        ("a bass guitar", 1, "bˈAs"),
        ("They caught a bass.", 3, "bˈæs."),
        ("minute details", 0, "mInˈut"),
        ("a minute ago", 1, "mˈɪnət"),
        ("They refuse to go.", 1, "ɹəfjˈuz"),
        ("the refuse bin", 1, "ɹˈɛfjˌus"),
        ("He dove into it.", 1, "dˈOv"),
        ("the book I read", 3, "ɹˈɛd"),
        ("I am content.", 2, "kəntˈɛnt."),
        ("a white dove", 2, "dˈʌv"),
        ("They tear it up.", 1, "tˈɛɹ"),
        ("a single tear", 2, "tˈɪɹ"),
        ("We record a song.", 1, "ɹəkˈɔɹd"),
        ("a new record", 2, "ɹˈɛkəɹd"),
        ("at nine AM", 2, "ˌAˈɛm"),
        ("at 9am", 2, "ˌAˈɛm"),
        ("I AM HERE", 1, "æm"),
        ("NASA", 0, "nˈæsə"),
        ("the BBC", 1, "bˌibˌisˈi"),
    ],
)
def test_words_of_one_spelling_have_their_own_sounds(text: str, word: int, phonemes: str) -> None:
    assert to_phonemes(text).split()[word] == phonemes


def test_paragraphs_of_one_piece_end_like_sentences() -> None:
    assert spoken_text("# Title\n\nText goes\non. And on") == "Title. Text goes on. And on"


def test_another_language_keeps_its_letters_and_numbers() -> None:
    reading = SpokenText(english=False)
    text = "# Überschrift\n\n**Москва** hat 12,5 Mio.\nEin\u00adwohner, 你好。 हिन्दी"
    assert "".join([reading.push(text), reading.flush()]).split("\n\n") == [
        "Überschrift",
        "Москва hat 12,5 Mio. Einwohner, 你好。 हिन्दी",
        "",
    ]
    assert not reading.left_out


def test_an_unknown_word_of_any_length_is_said_to_its_end() -> None:
    word = "zorblatt" * 10
    assert len(to_phonemes(word)) > 3 * len(to_phonemes("zorblatt" * 2))
