"""Words that are written alike and said differently: which one it is, by its neighbours.

The tagger of the pronouncing dictionary tells a verb from a noun in most sentences. The rules of `homographs.tsv` hold
where it is known to err: the first that fits gives a word that sounds as this one does, or the tag under which the
dictionary has it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("homographs.tsv")
WINDOW = 4  # words on either side


class Sense(NamedTuple):
    """How a word is to be looked up: as another word, or with another tag (Penn Treebank)."""

    alias: str = ""
    tag: str = ""


class Rule(NamedTuple):
    """Patterns for the end of the words before and for the beginning of those behind; None is anything."""

    before: re.Pattern[str] | None
    after: re.Pattern[str] | None
    sense: Sense


def sense(words: Sequence[str], at: int) -> Sense | None:
    """How the word at this place is said; None where the tagger is to be believed.

    >>> sense("the lead pipe".split(), 1), sense("he will lead us".split(), 2)
    (Sense(alias='led', tag=''), None)
    """
    rules = _rules().get(words[at].lower())
    if not rules:
        return None
    before = " ".join(words[max(at - WINDOW, 0) : at]).lower()
    after = " ".join(words[at + 1 : at + 1 + WINDOW]).lower()
    return next((rule.sense for rule in rules if _fits(rule, before, after)), None)


def _fits(rule: Rule, before: str, after: str) -> bool:
    if rule.before is not None and not rule.before.search(before):
        return False
    return rule.after is None or rule.after.match(after) is not None


@lru_cache(maxsize=1)
def _rules() -> dict[str, list[Rule]]:
    names: dict[str, str] = {}
    found: dict[str, list[Rule]] = defaultdict(list)
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("@"):
            name, _, pattern = line[1:].partition("\t")
            names[f"{{{name}}}"] = pattern
        elif not line.startswith("#"):
            word, before, after, which = line.split("\t")
            alias, tag = (which[1:], "") if which.startswith("=") else ("", which)
            found[word].append(Rule(_before(_full(before, names)), _after(_full(after, names)), Sense(alias, tag)))
    return dict(found)


def _full(pattern: str, names: dict[str, str]) -> str:
    for name, stands_for in names.items():
        pattern = pattern.replace(name, stands_for)
    return pattern


def _before(pattern: str) -> re.Pattern[str] | None:
    return re.compile(rf"(?:^|\s)(?:{pattern})$") if pattern else None


def _after(pattern: str) -> re.Pattern[str] | None:
    return re.compile(rf"(?:{pattern})(?:\s|$|[,.;:!?])") if pattern else None
