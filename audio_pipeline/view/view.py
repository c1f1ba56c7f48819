"""The terminal view and, without a terminal, a log line a second; both see a pipeline by its control."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from audio_pipeline.errors import ControlError
from audio_pipeline.terminal import printable, write
from audio_pipeline.view.keys import QUIT, Client, Commands, Keyboard, fader_target
from audio_pipeline.view.lines import log_line, page
from audio_pipeline.view.text import Line, PeakHold, State

if TYPE_CHECKING:
    from rich.console import Console, Group

REFRESH_S = 1 / 8
MESSAGE_S = 4.0
ANSWER_S = 0.5
PATIENCE_S = 5.0  # how long a pipeline of another process may leave us without an answer


def fits_terminal() -> bool:
    """Whether the view can be shown: a terminal on both sides that shows more than ASCII and whose cursor moves."""
    encoding = (sys.stdout.encoding or "").lower()
    moves = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    return sys.stdin.isatty() and sys.stdout.isatty() and encoding.startswith("utf") and moves


class Watch:
    """Looks at a pipeline that may be too busy to answer at once, or just ending."""

    def __init__(
        self, client: Client, clock: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S
    ) -> None:
        self._client = client
        self._clock = clock
        self._patience_s = patience_s
        self._answered = clock()
        self.last = ""  # message of the log that was passed on

    def look(self) -> State | None:
        """The state, None without an answer. Raises ControlError after `patience_s` without any."""
        try:
            state: State = self._client.state(ANSWER_S)
        except ControlError:
            if self._clock() - self._answered > self._patience_s:
                raise
            return None
        self._answered = self._clock()
        return state

    def logged(self) -> list[str]:
        """What the pipeline logged since the last call, with its time."""
        try:
            events = self._client.events()
        except ControlError:  # it is ending; whatever it still had to say is said by the run's own end
            return []
        logged = [event for event in events if event.get("kind") == "log"]
        self.last = logged[-1]["message"] if logged else self.last
        return [f"{event['time_s']:.1f} s | {event['message']}" for event in logged]


class View:
    """The screen: draws what the pipeline says, sends what the keys say."""

    def __init__(
        self,
        client: Client,
        *,
        title: Callable[[State], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._commands = Commands(client)
        self._title = title
        self._clock = clock
        self._hold = PeakHold()
        self._message = ""
        self._message_until = 0.0
        self._watch = Watch(client, clock, patience_s)
        self.state: State | None = None  # the newest one

    def refresh(self) -> None:
        """Asks for the state. Raises ControlError when nothing has answered for `patience_s`."""
        state = self._watch.look()
        if state is None:
            self._say("the pipeline does not answer")
        else:
            self.state = state

    def press(self, keys: list[str]) -> bool:
        """Does what `keys` say; False where they end the view."""
        if not keys or self.state is None:
            return "q" not in keys
        reply = self._commands.press(keys, self.state)
        if reply and reply != QUIT:
            self._say(reply)
        return reply != QUIT

    def _say(self, message: str) -> None:
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
        with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
            due = self._clock()
            while not ended():
                self.refresh()
                live.update(drawn(self.lines(console.size)), refresh=True)
                if self.state is not None and self.state.get("ended"):
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
    patience_s: float = PATIENCE_S,
) -> str:
    """Writes a line a second, and what is logged, until `wait(seconds)` says that the pipeline has ended.

    Gives the last message of the log that was written.
    """
    watch = Watch(client, clock, patience_s)
    start = clock()
    for second in range(1, sys.maxsize):
        if wait(max(start + second - clock(), 0.0)):
            break
        state = watch.look()
        if state is None:
            continue
        write(*map(printable, watch.logged()), log_line(state), out=out)
        if state["ended"]:
            break
    return watch.last
