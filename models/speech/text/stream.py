"""Text in any portions to spoken words: what two words mean together is decided with both at hand.

Words form groups: a cut lies only between two plain words neither of which can change how the other is read. Groups
are read one by one, so the same text gives the same words whether it comes whole or letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from audio_pipeline.models.speech.text.abbreviations import LEADS, NO_POINT, STREETS, known_with_point
from audio_pipeline.models.speech.text.layout import PARAGRAPH, Layout
from audio_pipeline.models.speech.text.markup import is_open
from audio_pipeline.models.speech.text.reading import Known, cleaned, spoken
from audio_pipeline.models.speech.text.units import NAMES as UNITS

WORD = re.compile(r"\s*\S+")
PLAIN = re.compile(r"[\"'(“‘]*([A-Za-z]+(?:['’][A-Za-z]+)?)([,;:!?.]*)[\"')”’]*([,;:!?.]*)")
NEXT = re.compile(r"[\"'(“‘]*[A-Za-z]")
NAME = re.compile(r"[\"'(“‘]*([A-Z][A-Za-z]*)")
ROMAN = re.compile(r"[IVXLCDM]+")
JOINING = frozenset(
    "pin code otp passcode password zip postcode extension ext account serial dial call text id a in "
    "half et al sq cu hundred thousand "
    "million billion trillion fl".split()
)
MOST_GROUP = 600  # characters; then the next blank is a cut
MOST_WORD = 300  # a longer one is none
LONGEST_NAME = 60
MOST_NAMED = 5  # of what was left out
BREAKABLE = re.compile(r"(?<=[,;:!?。、！？，…])(?=\S)")
LONG = re.compile(rf"\S{{{MOST_WORD + 1}}}")
GOES_ON = re.compile(r"\s|(?<=[,;:!?。、！？，…])")


class SpokenText:
    """Text in, spoken text out; `left_out` are the first few things that could not be said, `lost` how many in all.

    English is put into words whole. Of another language marks and invisible signs go; its own rules are its engine's.
    """

    def __init__(self, known: Known = lambda word: False, *, english: bool = True) -> None:
        self._known, self._english = known, english
        self.reset()

    def reset(self) -> None:
        """The next text is the beginning of another."""
        self._layout, self._raw = Layout(), ""
        self._skipped, self._beginning = 0, ""  # of a word that is too long: how much has gone by
        self.left_out: list[str] = []
        self.lost = 0

    def push(self, portion: str) -> str:
        """What is certain now."""
        return self._take(self._layout.push(portion), end=False)

    def flush(self) -> str:
        """All that is left, as if the text ended here."""
        return self._take(self._layout.flush(), end=True)

    def take_left_out(self) -> str:
        """What could not be said since this was asked last, in a few words."""
        named, more = ", ".join(map(repr, self.left_out)), self.lost - len(self.left_out)
        self.left_out, self.lost = [], 0
        return f"{named} and {more} more" if named and more > 0 else named

    def _take(self, text: str, *, end: bool) -> str:
        self._raw = self._shortened(self._raw + text, end=end)
        found = []
        for group in self._groups(end=end):
            if self._english:
                spoken_form = spoken(group, self._known, self._leave_out)
            else:
                spoken_form = cleaned(group, self._known, english=False)
            found.append(spoken_form.rstrip() + (PARAGRAPH if group.endswith(PARAGRAPH) else " "))
        return "".join(found)

    def _leave_out(self, what: str) -> None:
        self.lost += 1
        name = what if what.isprintable() else ascii(what)[1:-1]
        if len(self.left_out) < MOST_NAMED and name[:LONGEST_NAME] not in self.left_out:
            self.left_out.append(name[:LONGEST_NAME])

    def _groups(self, *, end: bool) -> Iterator[str]:
        """Groups that are whole, in order; the rest stays in `_raw`."""
        start = at = 0
        left = ""  # the word before `at`
        text = self._raw
        while match := WORD.match(text, at):
            gap, word = text[at : match.end() - len(match[0].lstrip())], match[0].lstrip()
            whole = match.end() < len(text) or end
            if left and self._cut(text[start:at], left, gap, word, whole=whole):
                yield text[start:at] + (PARAGRAPH if PARAGRAPH in gap else "")
                start = match.end() - len(word)
            elif left and not whole:
                break
            if not whole:
                break
            left, at = word, match.end()
        tail = text[at:]
        if left and (end or PARAGRAPH in tail) and not tail.strip():
            yield text[start:at] + (PARAGRAPH if PARAGRAPH in tail or end else "")
            start = len(text)
        self._raw = text[start:]

    def _cut(self, group: str, left: str, gap: str, word: str, *, whole: bool) -> bool:
        """Whether the group ends before this word, of which only the beginning may be there."""
        if PARAGRAPH in gap or len(group) > MOST_GROUP:
            return True
        plain = PLAIN.fullmatch(left)
        if plain is None or not NEXT.match(word) or (is_open(group) and len(group) < MOST_GROUP):
            return False
        core, stop = plain[1], plain[2]
        if _goes_on(core, stop) or (core == "I" and group.strip() != left):  # a numeral, where it stands behind a name
            return False
        if core[0].isupper() and (following := NAME.match(word)):
            return whole and not (ROMAN.fullmatch(following[1]) or following[1] in STREETS)
        return True

    def _shortened(self, text: str, *, end: bool) -> str:
        """Without words that are too long to be any: cut behind a comma where there is one, otherwise left out."""
        found: list[str] = []
        at = 0
        while True:
            if self._skipped:
                match = GOES_ON.search(text, at)
                stop = match.start() if match else len(text)
                self._skipped += stop - at
                at = stop
                if match is None and not end:
                    return "".join(found)
                self._leave_out(f"{self._beginning}… ({self._skipped} signs without a blank)")
                self._skipped = 0
                found.append(" ")
            match = LONG.search(text, at)
            if match is None:
                return "".join([*found, text[at:]])
            head = text[match.start() : match.start() + MOST_WORD]
            breaks = [found_.start() for found_ in BREAKABLE.finditer(head)]
            keep = breaks[-1] if breaks else 0 if self._english else MOST_WORD
            found += [text[at : match.start() + keep], " " if keep else ""]
            at = match.start() + (keep or MOST_WORD)
            if not keep:
                self._skipped, self._beginning = MOST_WORD, head[:20]


def _goes_on(core: str, stop: str) -> bool:
    """Whether a word can change how the next one is read, or its point may be that of an abbreviation."""
    if core.lower() in JOINING or core in LEADS or core in NO_POINT or (core[0].isupper() and known_with_point(core)):
        return True
    if stop.startswith(".") and (len(core) == 1 or known_with_point(core) or f"{core}." in UNITS):
        return True
    return core != "I" and set(core) <= set("IVXLCDM")
