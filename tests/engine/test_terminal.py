"""Text from elsewhere on a terminal: it controls nothing, and no character ends a command."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from audio_pipeline.control.events import NodeEvent
from audio_pipeline.observe.journal import Journal
from audio_pipeline.terminal import mend, printable, write, write_json_line
from audio_pipeline.view.view import drawn

OSC_52 = "\x1b]52;c;cm0gLXJmIH4=\x07"  # sets the clipboard of whoever looks
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8")
# ESC, BEL and every other C0 and C1 character, DEL, and what turns the direction of writing
STEERING = [chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), *range(0x202A, 0x202F), 0x2066, 0x2028)]


def screen(encoding: str) -> tuple[io.BytesIO, io.TextIOWrapper]:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    mend(stream)
    return raw, stream


@given(text=st.text())
def test_nothing_that_steers_a_terminal_is_left(text: str) -> None:
    shown = printable(text + "".join(STEERING))
    assert not set(STEERING) & set(shown)
    assert shown.encode()  # no half characters either


def test_text_in_any_language_stays_as_it_is() -> None:
    said = "Grüße, Łódź, 音楽, موسيقى, \U0001f469\u200d\U0001f3a4"
    assert printable(said) == said


@given(text=st.text(st.characters()))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_text_can_be_written_everywhere(encoding: str, text: str) -> None:
    raw, stream = screen(encoding)
    write(text + "\udce9", out=stream)  # a byte of a file name that is no text
    assert b"\\xe9" in raw.getvalue() and b"\x1b" not in raw.getvalue()


def test_signs_of_our_own_have_their_like_in_ascii() -> None:
    raw, stream = screen("ascii")
    write("42µs · mic › mix → ● running −3 dB ━━─", out=stream)
    assert raw.getvalue() == b"42us - mic > mix -> * running -3 dB ==-\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_bars_and_the_view_can_be_drawn_everywhere(encoding: str) -> None:
    raw, stream = screen(encoding)
    console = Console(file=stream, force_terminal=True, width=60)
    table = Table(title="Grüße")
    table.add_row("音楽 ● ━━")
    console.print(table)
    with Progress(TextColumn("{task.description}"), BarColumn(), console=console) as bar:
        bar.update(bar.add_task("fetching é"), completed=50)
    console.print(drawn([[(f"song {OSC_52}", "bold"), ("▶ ━━━╸── é", "red")]]))
    assert OSC_52.encode() not in raw.getvalue()
    assert b"\x1b]" not in raw.getvalue()  # rich's own sequences begin with ESC [


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_stays_json(encoding: str) -> None:
    raw, stream = screen(encoding)
    value = {"name": f"é音{OSC_52}\x9b2J\u202e", "file": "caf\udce9"}
    write_json_line(value, stream)
    assert raw.getvalue().count(b"\n") == 1 and b"\x1b" not in raw.getvalue()
    assert "\x9b" not in raw.getvalue().decode(encoding)
    assert json.loads(raw.getvalue().decode(encoding)) == value


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_is_no_way_to_a_terminal(form: str) -> None:
    raw, stream = screen("utf-8")
    log = Journal(stream, form, pipeline="p", run="r")
    log(NodeEvent(kind="note", node="tap", position=0, data={"message": f"{OSC_52}\x9bm\nroot# ok", "x": "\x9b"}))
    shown = raw.getvalue().decode()
    assert "\x1b" not in shown and "\x9b" not in shown and shown.count("\n") == 1
