"""English text to phonemes as Kokoro reads them (misaki's alphabet): written text becomes words in `text`, words become
phonemes in the dictionary of hibari-tts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from audio_pipeline.models.speech.text.homographs import sense
from audio_pipeline.models.speech.text.stream import SpokenText
from audio_pipeline.models.speech.text.words import ONES, TENS

NUMBERS = frozenset((*ONES, *TENS, "o'clock", "oh"))
LONGEST_UNKNOWN = 20  # letters; the network for unknown words forgets what comes behind the 24th
STOPS = ".!?…,;:—"


class Spoken(NamedTuple):
    """A word as it is said: `text` has numbers and units written out."""

    text: str
    phonemes: str


class _Unknown:
    """The package's network for words that no dictionary has, for words of any length."""

    def __init__(self, british: bool) -> None:
        self._british = british
        self._network: Any = None

    def __call__(self, word: str) -> str:
        from hibari.g2p.oov import ASSETS, OOV

        if self._network is None:
            self._network = OOV(f"{ASSETS}/oov_gb.onnx" if self._british else f"{ASSETS}/oov.onnx")
        parts = (word[at : at + LONGEST_UNKNOWN] for at in range(0, len(word), LONGEST_UNKNOWN))
        return "".join(self._network(part) or "" for part in parts)


@lru_cache(maxsize=2)
def _reader(british: bool) -> Any:
    from hibari.g2p import G2P

    return G2P(oov=_Unknown(british), british=british)


def in_dictionary(word: str) -> bool:
    """Whether the dictionary has a word as it is written here; none is known where the package is not installed."""
    try:
        lexicon = _reader(False).lexicon
    except ImportError:
        return False
    return any(each in lexicon.golds or each in lexicon.silvers for each in {word, word.lower()})


def spoken_text(text: str) -> str:
    """Written English as words; a sentence ends where a paragraph does."""
    reading = SpokenText(in_dictionary)
    parts = (reading.push(text) + reading.flush()).split("\n\n")
    sentences = [part.strip() for part in parts if part.strip()]
    return " ".join([*(part if part[-1] in STOPS else f"{part}." for part in sentences[:-1]), *sentences[-1:]])


def to_tokens(text: str, *, british: bool = False) -> list[Spoken]:
    """The words of one piece of text; what cannot be read (signs of other scripts, pictures) has no phonemes."""
    reader = _reader(british)
    tokens = reader.tokenize(spoken_text(text))
    _choose(tokens, reader.lexicon)
    found: list[Spoken] = []
    glued = False
    for token in reader.phonemize_tokens(tokens):
        part = Spoken(token.text, token.phonemes or "")
        if glued:
            before = found.pop()
            part = Spoken(before.text + part.text, before.phonemes + part.phonemes)
        found.append(part)
        glued = not token.whitespace
    return found


def to_phonemes(text: str, *, british: bool = False) -> str:
    """The phonemes of one piece of text, a space between two words."""
    return joined(to_tokens(text, british=british))


def joined(words: list[Spoken]) -> str:
    """The phonemes of words in a row."""
    return " ".join(word.phonemes for word in words).strip()


def portions(words: list[Spoken], most: int) -> Iterator[list[Spoken]]:
    """Words in order, as many at once as have at most so many phonemes together."""
    part: list[Spoken] = []
    length = 0
    for word in words:
        length += len(word.phonemes) + 1
        if part and length > most:
            yield part
            part, length = [], len(word.phonemes) + 1
        part.append(word)
    if part:
        yield part


def _choose(tokens: list[Any], lexicon: Any) -> None:
    """Settles what the words around decide: homographs, AM and PM, letters one by one."""
    words = [token.text for token in tokens]
    for at, token in enumerate(tokens):
        near = [words[index] for index in (at - 1, at + 1) if 0 <= index < len(words)]
        if token.text in ("AM", "PM") and at and words[at - 1].rpartition("-")[2] in NUMBERS:
            token.phonemes = lexicon.get_NNP(token.text)[0]
        elif token.text == "A" and any(_is_letter(word) or word in NUMBERS for word in near):
            token.phonemes = lexicon.golds.get("A")
        elif (found := sense(words, at)) is not None:
            token.alias, token.tag = found.alias or None, found.tag or token.tag


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isupper() and word != "I"
