"""Marks of HTML and Markdown inside a line: gone, what they enclose stays."""

from __future__ import annotations

import html
import re
from html.entities import html5

ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
SILENT = re.compile(r"<(script|style|noscript|template)\b[^>]*>.*?</\1\s*>|<!--.*?-->|<![^>]*>|<\?[^>]*>", re.I | re.S)
RAISED = re.compile(r"<su([pb])>\s*([\w+-]{1,8})\s*</su\1>", re.I)
BLOCK = re.compile(
    r"\s*</?(?:p|div|br|li|ul|ol|h[1-6]|tr|table|section|article|header|footer|blockquote|hr|pre|dd|dt|title|head|body)"
    r"\b[^<>]*>\s*",
    re.I,
)
CELLS = re.compile(r"\s*</t[dh]>\s*(?=<t[dh]\b)", re.I)
TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9:-]*(?:\s+[^<>]*)?/?>")
AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]+|[\w.+-]+@[\w.-]+)>")
IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()]*(?:\([^()]*\)[^()]*)?\)")
TARGET = re.compile(r"(?<=\])\((?:[^()\s]|\([^()\s]*\))*(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)|(?<=\])\[[^\[\]]*\]")
FOOTNOTE = re.compile(r"\[\^[^\[\]\s]+\]:?|(?:(?<=[A-Za-z]{2})|(?<=[.,;:!?\"')]))\[\d{1,3}(?:[,–-]\s?\d{1,3})*\]")
BRACKETED = re.compile(r"\[([^\[\]]*)\]")
TO_THE_POWER = re.compile(r"(?<=\d)\*\*(?=-?\d)")
CODE = re.compile(r"`+")
STRONG = re.compile(r"(?<![\w*])(\*{1,3})(?=[^\s*])|(?<=[^\s*])(\*{1,3})(?![\w*])|(?<=[^\s*])\*{2,3}|\*{2,3}(?=[^\s*])")
UNDER = re.compile(r"(?<![\w/.:@])_{1,3}(?=[^\W_])|(?<=[^\s_])_{1,3}(?![\w/])")
STRUCK = re.compile(r"~~(?=\S)|(?<=\S)~~|(?<!\S)==(?=[^\s=])|(?<=[^\s=])==(?=[\s.,;:!?]|$)")
MATH = re.compile(r"\${1,2}([^$]*[\\^_][^$]*)\${1,2}")
LATEX = re.compile(r"\\(?:text|mathrm|mathbf|mathit|emph|textbf|textit)\{([^{}]*)\}")
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.")
EMOTICON = re.compile(r"(?:(?<=\s)|(?<=^))(?:[:;=8][-']?[)(DPpOo3/|*]|<3|[xX]D|:'\()(?=[\s.,!?]|$)")
OPENED = re.compile(
    r"<(?:[A-Za-z/][^<>]*|!--(?:(?!-->).)*|(?:script|style)\b(?:(?!</(?:script|style)>).)*)$|\]\([^()]*$|"
    r"!?\[[^\[\]]{0,40}$",
    re.I | re.S,
)
MARKS = re.compile(r"[<&`*_~\[\\=:;8xX\x1b$]")


def plain(text: str) -> str:
    """Without marks; each block of HTML is a line of its own (a blank line between two)."""
    if not MARKS.search(text):
        return text
    text = ESCAPED.sub(r"\1", text)
    text = MATH.sub(r"\1", LATEX.sub(r"\1", ESCAPES.sub("", text)))
    if "<" in text:
        text = RAISED.sub(lambda match: ("^" if match[1] in "pP" else "") + match[2], SILENT.sub(" ", text))
        text = AUTOLINK.sub(r"\1", text)
        text = CELLS.sub(", ", text)
        text = TAG.sub("", BLOCK.sub("\n\n", text))
    text = ENTITY.sub(lambda match: _character(match[0]), text)
    text = EMOTICON.sub("", text)
    if "[" in text:
        text = TARGET.sub("", IMAGE.sub(r"\1", FOOTNOTE.sub("", text)))
        text = BRACKETED.sub(r"\1", text)
    text = TO_THE_POWER.sub("^", text)
    text = CODE.sub("", STRUCK.sub("", text))
    return UNDER.sub("", STRONG.sub("", text))


def _character(entity: str) -> str:
    """Of a whole name or number; what is none stays."""
    return html.unescape(entity) if entity[1] == "#" or entity[1:] in html5 else entity


def is_open(text: str) -> bool:
    """Whether a mark has begun that has not ended: the next words belong to it."""
    return ("<" in text or "[" in text) and OPENED.search(text) is not None
