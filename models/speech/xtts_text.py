"""Text as XTTS takes it well, and how long its speech can be at most.

The limits are those of the model's tokenizer (coqui-tts, `tts/layers/xtts/tokenizer.py`). What it is known to do with
quotation marks, a bare word or a long run of text is babble; so quotes go, and the length of the answer is bounded.
"""

from __future__ import annotations

import re

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.models.speech.clauses import ClauseSplitter, Policy

LIMITS = {  # characters of one synthesis by language
    "en": 250,
    "de": 253,
    "fr": 273,
    "es": 239,
    "it": 213,
    "pt": 203,
    "pl": 224,
    "zh": 82,
    "ar": 166,
    "cs": 186,
    "ru": 182,
    "nl": 251,
    "tr": 226,
    "ja": 71,
    "hu": 224,
    "ko": 95,
    "hi": 150,
}
DENSE = frozenset(("zh", "ja", "ko"))  # one sign is a syllable or more
QUOTES = re.compile(r"[\"“”„‟«»‹›「」『』]|(?<!\w)['‘’]|['‘’](?!\w)")
ENDED = re.compile(r"[.!?…。！？,;:]$")
STEP_S = 1024 / 22_050  # of sound for each token
LEAST_S = 1.5  # a word takes this long at most, with what the model puts around it
SLOWEST_S = {False: 0.16, True: 0.5}  # for each sign; ordinary speech has 0.07 and 0.2


def checked_language(language: str) -> str:
    """The language's code. Raises ConfigError."""
    if language not in LIMITS:
        known = ", ".join(LIMITS)
        raise ConfigError(f"language: unknown {language!r}{nearest(language, LIMITS)}; XTTS speaks {known}")
    return language


def policy(language: str) -> Policy:
    """Where to cut text for it: no piece of fewer than about five words while there are more."""
    most = LIMITS[checked_language(language)]
    return Policy(first_least=min(25, most // 3), first_most=most // 2, growth=2.0, most=most)


def cleaned(text: str) -> str:
    """Without quotes, and with a stop at its end; empty where nothing can be said.

    >>> cleaned('He said:  "don\\'t go" ')
    "He said: don't go."
    """
    plain = " ".join(QUOTES.sub("", text).split()).rstrip(" -–—")
    if not any(char.isalnum() for char in plain):
        return ""
    return plain if ENDED.search(plain) else f"{plain}."


def pieces(text: str, language: str) -> list[str]:
    """Clean text in pieces that the model takes at once, cut at sentences, then at commas, then between words."""
    splitter, limit = ClauseSplitter(policy(language)), LIMITS[language]
    plain = cleaned(text)
    if len(plain) <= limit:
        return [plain] if plain else []
    cut = [*splitter.push(plain), *splitter.flush()]
    return [piece for clause in cut if (piece := cleaned(clause.text)[:limit])]


def most_tokens(text: str, language: str) -> int:
    """Tokens after which the model has gone astray: text spoken at half of the usual pace, and a second."""
    seconds = LEAST_S + SLOWEST_S[language in DENSE] * len(text)
    return round(seconds / STEP_S)
