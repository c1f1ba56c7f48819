"""`top`: looks at a running pipeline again and again, on a screen, once, or as JSON for a script."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from audio_pipeline.control.requests import FASTEST_MS, SLOWEST_MS
from audio_pipeline.control.snapshots import LinkLedger, TapLedger
from audio_pipeline.control.state import State
from audio_pipeline.errors import ControlError
from audio_pipeline.terminal import write, write_json_line
from audio_pipeline.view.keys import Client, Keyboard
from audio_pipeline.view.loads import Load, PathLoad, node_loads, path_loads
from audio_pipeline.view.top_page import GRAPH, SORTS, page
from audio_pipeline.view.view import drawn
from audio_pipeline.view.watch import StateWatch

PAGE_ROWS = 24
SOON_S = 0.1  # until the next look where nothing new had come


class Top:
    """Two looks at a pipeline, and what lies between them."""

    def __init__(self, client: Client, by: str = GRAPH, interval_s: float = 1.0) -> None:
        every_ms = min(max(round(interval_s * 1000), FASTEST_MS), SLOWEST_MS)
        self._watch = StateWatch(client, every_ms=every_ms)
        self.before: State | None = None
        self.now: State | None = None
        self.by = by

    def refresh(self) -> bool:
        """Takes the newest state; False where nothing new has come. Raises ControlError for good."""
        state = self._watch.refresh()
        if state is None or not self._watch.fresh:
            return False
        self.before, self.now = self.now, state
        return True

    def close(self) -> None:
        """Ends its subscription."""
        self._watch.close()

    def press(self, keys: list[str]) -> bool:
        """Sorts as the keys say; False for the one that ends it."""
        for key in keys:
            self.by = SORTS.get(key, self.by)
        return "q" not in keys

    def run(self, interval_s: float) -> None:
        """Draws until `q` or the pipeline's end; the terminal is put back on any way out."""
        from rich.console import Console
        from rich.live import Live

        console = Console()
        with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
            due = time.monotonic()
            while self.now is None or not self.now.meters.ended:
                if time.monotonic() >= due:
                    due = max(due + interval_s, time.monotonic()) if self.refresh() else time.monotonic() + SOON_S
                if self.now is not None:
                    live.update(drawn(page(self.before, self.now, console.size, self.by)), refresh=True)
                if not self.press(keyboard.read(min(due - time.monotonic(), 1.0))):
                    return

    def refresh_twice(self, interval_s: float, wait: Callable[[float], None] = time.sleep) -> State:
        """Two looks so far apart; the later one. Raises ControlError where it does not answer."""
        for pause_s in (0.0, interval_s):
            wait(pause_s)
            while not self.refresh():
                wait(0.05)
        if self.now is None:
            raise ControlError("the pipeline does not answer")
        return self.now

    @property
    def numbers(self) -> Numbers:
        """The numbers of the screen and what they come from, all of them."""
        assert self.now is not None
        about, meters, ledger = self.now.description, self.now.meters, self.now.ledger
        return Numbers(
            time=time.time(),
            pipeline=about.name,
            run=about.run,
            live=about.live,
            uptime_s=ledger.uptime_s,
            quantum_ms=self.now.frame_ms,
            clock=Clock(meters.master, meters.ppm),
            interval_s=ledger.uptime_s - (self.before.ledger.uptime_s if self.before else 0.0),
            nodes=node_loads(self.before, self.now),
            paths=path_loads(self.before, self.now),
            links=[dataclasses.replace(link, age_counts=()) for link in ledger.links],
            taps=ledger.taps,
        )


@dataclass(frozen=True)
class Clock:
    """What the pipeline goes by."""

    master: str
    ppm: float


@dataclass(frozen=True)
class Numbers:
    """One line of `top --json`."""

    time: float  # Unix
    pipeline: str
    run: str
    live: bool
    uptime_s: float
    quantum_ms: float
    clock: Clock
    interval_s: float
    nodes: Sequence[Load]
    paths: Sequence[PathLoad]
    links: Sequence[LinkLedger]  # as in the ledger, without histograms
    taps: Sequence[TapLedger]


def write_once(top: Top, width: int, out: TextIO) -> None:
    """The screen as plain text, without its keys."""
    assert top.now is not None
    rows = PAGE_ROWS + 4 * len(top.now.description.nodes) + len(top.now.description.paths)
    lines = page(top.before, top.now, (width, rows), top.by)[:-1]
    text = ["".join(part for part, _ in line).rstrip() for line in lines]
    write("\n".join(text).rstrip(), out=out)


def write_json(top: Top, out: TextIO) -> None:
    """One line."""
    write_json_line(dataclasses.asdict(top.numbers), out)
