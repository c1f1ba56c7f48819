"""Lines to paragraphs, while the text comes: a line break inside a sentence is a space, the end of a paragraph, a
heading, a list item or a row of a table is a blank line. Marks at the beginnings of lines go."""

from __future__ import annotations

import re

BROKEN = "\ufdd1"  # behind a hyphen: the line ended there
PARAGRAPH = "\n\n"
BREAKS = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028]|\u2029")
SPACES = re.compile(r"[ \t]+")
MANY = re.compile(r"\n(?: ?\n){2,}")
FENCE = re.compile(r"\s*(```|~~~)")
RULE = re.compile(r"\s*(?:(?:[-*_=#~.·•]\s*){3,}|=+|-+)\s*$")
HEADING = re.compile(r"\s{0,3}#{1,6}\s+")
HEADING_END = re.compile(r"\s+#+\s*$")
QUOTED = re.compile(r"\s*(?:>\s)+|\s*(?:>\s?)+(?=[^\d\s=])")
ITEM = re.compile(
    r"\s*(?:(?P<bullet>[-*+•‣◦▪●○∙⁃–—])|(?P<number>\d{1,3}[.)](?=\s+[^\s\d])|\(\d{1,2}\)|\(?[a-zA-Z]\)))\s+"
    r"(?:\[[ xX]\]\s+)?"
)
ROW = re.compile(r"\s*\|")
ROW_RULE = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$")
DEFINITION = re.compile(r"\s{0,3}\[[^\]\^]+\]:\s+\S+.*$")
START = re.compile(r"\s*[>#*+|`~=_•‣◦▪●○∙⁃–—\[(-]|\s*\(?\w{1,3}[.)]?(?:\s|$)")
HYPHEN = re.compile(r"(?:\w|^)-[ \t]*$")
HELD = re.compile(r"-?[ \t]*$")  # it depends on what comes whether a hyphen belongs to the word
LONGEST_MARK = 400  # characters of a line that must be whole before it is known what it is


class Layout:
    """Takes text in any portions; gives words with blank lines where something ends."""

    def __init__(self) -> None:
        self._line = ""  # what has come of the line at work
        self._begun = False  # its beginning was looked at and given
        self._code = False  # inside of a fence
        self._item = False  # the line at work ends something by itself
        self._open = False  # a paragraph is open: text stands before this without a blank line

    def push(self, portion: str) -> str:
        """What is certain of it."""
        self._line += MANY.sub("\n\n", SPACES.sub(" ", portion.replace(BROKEN, "")))
        found: list[str] = []
        start = 0
        for match in BREAKS.finditer(self._line):
            if match[0] == "\r" and match.end() == len(self._line):
                break  # the other half of a line end may come
            found += self._ended(self._line[start : match.start()], paragraph=match[0] == "\u2029")
            start = match.end()
        self._line = self._line[start:]
        found += self._growing()
        return "".join(found)

    def flush(self) -> str:
        """The text has ended, or nothing comes for long."""
        line, self._line = self._line, ""
        return "".join(self._ended(line.rstrip("\r"), paragraph=True)) if line or self._open else ""

    def _growing(self) -> list[str]:
        """Of a line that has not ended yet."""
        line = self._line
        if self._code or line.endswith("\r"):
            return []
        if not self._begun:
            if len(line) < LONGEST_MARK and (not line.strip() or START.match(line) and not self._known(line)):
                return []
            return self._begin()
        return [self._all_but_hyphen(line)]

    def _all_but_hyphen(self, line: str) -> str:
        held = HELD.search(line)
        at = held.start() if held and "-" in held[0] else len(line)
        self._line = line[at:]
        return line[:at]

    def _known(self, line: str) -> bool:
        """Whether more of the line could not make it something else."""
        marker = ITEM.match(line) or HEADING.match(line)
        if marker and not RULE.match(line):
            return marker.end() < len(line) and line[marker.end()] not in "[ -*_=#"
        word = re.match(r"\s*\(?\w{1,3}\s+\S", line)
        return word is not None

    def _begin(self) -> list[str]:
        before, rest = self._start(self._line)
        self._begun = True
        return [before, self._all_but_hyphen(rest)]

    def _ended(self, line: str, *, paragraph: bool) -> list[str]:
        """A whole line, or the rest of one whose beginning was given."""
        if not self._begun:
            if (special := self._special(line)) is not None:
                return special
            before, line = self._start(line)
            found = [before]
        else:
            found = []
        if self._item:
            line = HEADING_END.sub("", line)
        found.append(line)
        ends = paragraph or self._item or self._code
        self._begun = self._item = False
        self._open = not ends
        if ends:
            return [*found, PARAGRAPH]
        return [*found, BROKEN if HYPHEN.search(line) else " "]

    def _special(self, line: str) -> list[str] | None:
        """Of a line without words of its own, or one that is read as a whole; None for any other."""
        if FENCE.match(line):
            self._code = not self._code
            return self._close()
        if self._code:
            return [SPACES.sub(" ", line), PARAGRAPH] if line.strip() else []
        if not line.strip() or RULE.match(line) or ROW_RULE.match(line) or DEFINITION.match(line):
            return self._close()
        if ROW.match(line):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            return [*self._close(), ", ".join(filter(None, cells)), PARAGRAPH]
        return None

    def _close(self) -> list[str]:
        was, self._open, self._item = self._open, False, False
        return [PARAGRAPH] if was else []

    def _start(self, line: str) -> tuple[str, str]:
        """What stands before a line, and the line without the mark at its beginning."""
        quoted = QUOTED.match(line)
        line = line[quoted.end() :] if quoted else line
        heading, item = HEADING.match(line), ITEM.match(line)
        mark = heading or item
        if mark is None or mark.end() == len(line):
            return "", line
        self._item = True
        number = item["number"] if item and not heading else None
        spoken_form = f"{number.strip('().')}, " if number else ""
        return "".join(self._close_item()), spoken_form + line[mark.end() :]

    def _close_item(self) -> list[str]:
        was, self._open = self._open, False
        return [PARAGRAPH] if was else []
