"""Whoever looks at a run decides nothing over it: a view that ends by an error is one line, and the run goes on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from audio_pipeline.terminal import abandon, is_gone, warn, write

Wait = Callable[[float | None], bool]


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the pipeline cleanly; a second Ctrl-C does not wait.

    SIGHUP that was ignored before (`nohup`) stays so: whoever starts it like that wants it to outlive the terminal.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    signals += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    before = [signal.signal(number, ask) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def looked_at(show: Callable[[], str], wait: Wait) -> str:
    """What `show` gives. Where it fails in any way, that is said in one line, and the run goes on to its own end."""
    try:
        return show()
    except Exception as error:  # noqa: BLE001 - whatever a view dies of, the sound goes on
        if is_gone(error):
            abandon(sys.stdout)
        warn(f"audio-pipeline: the view ended ({_why(error)}); the pipeline goes on: Ctrl-C or `audio-pipeline stop`")
    wait(None)
    return ""


def _why(error: Exception) -> str:
    return "nobody reads it any more" if is_gone(error) else f"{type(error).__name__}: {error}"


def tell(*lines: object) -> None:
    """Writes lines to standard output where somebody still reads it."""
    try:
        write(*lines)
    except (OSError, ValueError):
        abandon(sys.stdout)
