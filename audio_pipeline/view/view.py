"""The terminal view and, without a terminal, a log line a second; both see a pipeline by its control."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TextIO

from audio_pipeline.control.state import Status
from audio_pipeline.terminal import printable, write
from audio_pipeline.view.faders import fader_target
from audio_pipeline.view.keys import QUIT, Client, Commands, Keyboard
from audio_pipeline.view.lines import log_line, page
from audio_pipeline.view.screen import ScreenState
from audio_pipeline.view.text import Line, PeakHold
from audio_pipeline.view.watch import ScreenWatch

if TYPE_CHECKING:
    from rich.console import Console, Group

REFRESH_S = 1 / 8
MESSAGE_S = 4.0


def fits_terminal() -> bool:
    """Whether the view can be shown: a terminal on both sides that shows more than ASCII and whose cursor moves."""
    encoding = (sys.stdout.encoding or "").lower()
    moves = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    return sys.stdin.isatty() and sys.stdout.isatty() and encoding.startswith("utf") and moves


class View:
    """The screen: draws what the pipeline says, sends what the keys say."""

    def __init__(
        self,
        client: Client,
        *,
        title: Callable[[Status], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float | None = None,
    ) -> None:
        self._commands = Commands(client)
        self._title = title
        self._clock = clock
        self._hold = PeakHold()
        self._message = ""
        self._message_until = 0.0
        self._watch = ScreenWatch(client, clock=clock, patience_s=patience_s)
        self.state: ScreenState | None = None  # the newest one

    def refresh(self) -> None:
        """Takes what was pushed. Raises ControlError when nothing has come for `patience_s`."""
        state = self._watch.refresh()
        if state is None:
            self._print("the pipeline does not answer")
        else:
            self.state = state

    def press(self, keys: list[str]) -> bool:
        """Does what `keys` say; False where they end the view."""
        if not keys or self.state is None:
            return "q" not in keys
        reply = self._commands.press(keys, self.state)
        if reply and reply != QUIT:
            self._print(reply)
        return reply != QUIT

    def _print(self, message: str) -> None:
        self._message, self._message_until = message, self._clock() + MESSAGE_S

    def lines(self, size: tuple[int, int]) -> list[Line]:
        """The page for a terminal of `size` (width, height)."""
        if self.state is None:
            return [[(" waiting for the pipeline", "color(245)")]]
        now_s = self._clock()
        message = self._message if now_s < self._message_until else ""
        return page(
            self.state,
            size,
            fader_target(self.state),
            lambda name, peak_db: self._hold(name, peak_db, now_s),
            message=message,
            title=self._title(self.state) if self._title else "",
        )

    def run(self, ended: Callable[[], bool], console: Console | None = None) -> None:
        """Draws until `ended()`, the pipeline's end or `q`; the terminal is put back on any way out."""
        from rich.console import Console
        from rich.live import Live

        console = console or Console()
        with (
            closing(self._watch),
            Keyboard() as keyboard,
            Live(console=console, screen=True, auto_refresh=False) as live,
        ):
            due = self._clock()
            while not ended():
                self.refresh()
                live.update(drawn(self.lines(console.size)), refresh=True)
                if self.state is not None and self.state.meters.ended:
                    return
                due = max(due + REFRESH_S, self._clock())
                if not self.press(keyboard.read(due - self._clock())):
                    return


def drawn(lines: list[Line]) -> Group:
    """Lines as something rich prints, cut at the edge of the terminal."""
    from rich.console import Group
    from rich.text import Text

    return Group(*[Text.assemble(*_safe(line), no_wrap=True, overflow="crop", end="\n") for line in lines])


def _safe(line: Line) -> Line:
    return [(printable(text), style) for text, style in line]


def follow(
    client: Client,
    wait: Callable[[float], bool],
    out: TextIO,
    clock: Callable[[], float] = time.monotonic,
    patience_s: float | None = None,
) -> str:
    """Writes a line a second, and what is logged, until `wait(seconds)` says that the pipeline has ended.

    Gives the last message of the log that was written.
    """
    with closing(ScreenWatch(client, clock=clock, patience_s=patience_s)) as watch:
        start = clock()
        for second in range(1, sys.maxsize):
            if wait(max(start + second - clock(), 0.0)):
                break
            state = watch.refresh()
            if state is None:
                continue
            write(*map(printable, watch.logged()), log_line(state), out=out)
            if state.meters.ended:
                break
        return watch.last
