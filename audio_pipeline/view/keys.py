"""The keyboard of the terminal view: bytes to key names, key names to commands on the running graph."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

from audio_pipeline.control.replies import SetReply
from audio_pipeline.control.state import Status
from audio_pipeline.errors import ControlError
from audio_pipeline.view.faders import fader_at, fader_target
from audio_pipeline.view.lines import song_of
from audio_pipeline.view.text import FADER_DB, clock_text, ms_text
from audio_pipeline.view.watch import Subscriber

STEP_DB = 1.0
SEEK_S = 5.0
QUIT = "quit"

ESCAPES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1bOC": "right",
    "\x1bOD": "left",
}
PLAIN = {"+": "up", "=": "up", "-": "down", "k": "up", "j": "down", " ": "space", "\x03": "q"}


class Client(Subscriber, Protocol):
    """What the view needs of a control client."""

    def set(self, node: str, name: str, value: Any) -> SetReply: ...

    def transport(self, node: str, command: str, **args: Any) -> Any: ...


def decode_keys(text: str) -> list[str]:
    """Key names in what a terminal sent; unknown escape sequences are skipped.

    >>> decode_keys("\\x1b[A+ m\\x1b[5~q")
    ['up', 'up', 'space', 'm', 'q']
    """
    keys: list[str] = []
    while text:
        if text[0] == "\x1b":
            length = _escape_length(text)
            keys += [ESCAPES[text[:length]]] if text[:length] in ESCAPES else []
        else:
            length = 1
            keys.append(PLAIN.get(text[0], text[0].lower()))
        text = text[length:]
    return keys


def _escape_length(text: str) -> int:
    """Length of the escape sequence `text` starts with: ESC, [ or O, parameters, one final byte."""
    if len(text) < 2 or text[1] not in "[O":
        return 1
    end = 2
    while end < len(text) and not "@" <= text[end] <= "~":
        end += 1
    return min(end + 1, len(text))


class Keyboard:
    """Keys as they are pressed, without echo; the terminal is as it was on leaving the `with` block."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = sys.stdin.fileno() if fd is None else fd

    def __enter__(self) -> Keyboard:
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSANOW)
        attributes = termios.tcgetattr(self._fd)
        attributes[6][termios.VSUSP] = b"\0"  # Ctrl-Z would stop the sound and leave the screen as it is
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._fd, termios.TCSANOW, self._before)

    def read(self, timeout_s: float) -> list[str]:
        """The keys pressed within `timeout_s`; returns at the first. Raises EOFError, OSError: it was closed."""
        ready, _, _ = select.select([self._fd], [], [], max(timeout_s, 0.0))
        if not ready:
            return []
        data = os.read(self._fd, 256)
        if not data:
            raise EOFError("the terminal was closed")
        return decode_keys(data.decode(errors="ignore"))


class Commands:
    """Carries out keys on a running pipeline; what each did comes back as a few words."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def press(self, keys: Sequence[str], status: Status) -> str:
        """Does what `keys` say, held-down keys as one step; QUIT for the one that ends the view."""
        if "q" in keys:
            return QUIT
        replies = []
        try:
            if steps := keys.count("up") - keys.count("down"):
                replies.append(self._move_fader(steps, status))
            if seeks := keys.count("right") - keys.count("left"):
                replies.append(self._seek(seeks * SEEK_S, status))
            replies += [self._single(key, status) for key in dict.fromkeys(keys)]
        except ControlError as error:
            replies.append(str(error))
        return next((reply for reply in reversed(replies) if reply), "")

    def _single(self, key: str, status: Status) -> str:
        if key in ("m", "s"):
            return self._switch("mute" if key == "m" else "solo", status)
        name = song_of(status)
        if key not in ("space", "n", "l") or name is None:
            return ""
        song = status.songs[name]
        if key == "space":
            command = "pause" if song.playing else "play"
            self._client.transport(name, command)
            return command
        if key == "n":
            self._client.transport(name, "next")
            return "next"
        self._client.transport(name, "loop", on=not song.loop)
        return f"loop {'off' if song.loop else 'on'}"

    def _move_fader(self, steps: int, status: Status) -> str:
        target = fader_target(status)
        if target is None:
            return "no fader here"
        now_db = fader_at(status, target).gain_db
        value_db = min(max(now_db + steps * STEP_DB, FADER_DB[0]), FADER_DB[1])
        reply = self._client.set(target.node, f"inputs.{target.input}.gain_db", value_db)
        return f"{target.input} {value_db:+.1f} dB{effect_of(reply)}"

    def _switch(self, what: str, status: Status) -> str:
        target = fader_target(status)
        if target is None:
            return f"nothing to {what} here"
        now = fader_at(status, target)
        on = not (now.mute if what == "mute" else now.solo)
        reply = self._client.set(target.node, f"inputs.{target.input}.{what}", on)
        return f"{target.input} {what} {'on' if on else 'off'}{effect_of(reply)}"

    def _seek(self, by_s: float, status: Status) -> str:
        name = song_of(status)
        if name is None:
            return "nothing to seek here"
        target_s = max(status.songs[name].media_s + by_s, 0.0)
        self._client.transport(name, "seek", seconds=target_s)
        return f"seek {clock_text(target_s)}"


def effect_of(reply: SetReply) -> str:
    """When a change is audible, from the acknowledgement of `set`.

    >>> effect_of(SetReply(48000, 41.2))
    ', audible in 41 ms'
    """
    delay_ms = reply.heard_in_ms
    note = f" ({reply.note})" if reply.note else ""
    return f", audible in {ms_text(delay_ms)}" if delay_ms is not None else note
