"""Observers of a run do not decide over it: a view that fails is one line on standard error, and the run goes on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import FrameType

from audio_pipeline.run.pipeline import Pipeline
from audio_pipeline.terminal import abandon, is_gone, warn, write

Wait = Callable[[float | None], bool]


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal end the pipeline cleanly; a second Ctrl-C does not wait.

    SIGHUP that was ignored before (`nohup`) stays so: whoever starts it like that wants it to outlive the terminal.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    signals += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []

    def on_signal(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    before = [signal.signal(number, on_signal) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def run_to_end(pipeline: Pipeline, show: Callable[[], str]) -> str:
    """Starts a pipeline, runs `show` beside it and ends it: after its own end, `show`'s, a signal or an exception.

    Returns what `show` returned. The error that ended the run is printed.
    """
    with stopping(pipeline.stop), closing(pipeline):
        pipeline.start()
        shown = observing(show, pipeline.wait)
    if pipeline.error is not None:
        warn(f"audio-pipeline: {pipeline.error}")
    return shown


def observing(show: Callable[[], str], wait: Wait) -> str:
    """Runs `show` and returns its result. A failure in it is one line, and the run goes on to its own end."""
    try:
        return show()
    except Exception as error:  # noqa: BLE001 - whatever fails in a view, the sound goes on
        if is_gone(error):
            abandon(sys.stdout)
        reason = "its reader has closed it" if is_gone(error) else f"{type(error).__name__}: {error}"
        warn(
            f"audio-pipeline: the view ended ({reason}); the pipeline continues: end it by Ctrl-C or "
            "`audio-pipeline stop`"
        )
    wait(None)
    return ""


def write_if_read(*lines: object) -> None:
    """Writes lines to standard output; does nothing where no process reads it any more."""
    try:
        write(*lines)
    except (OSError, ValueError):
        abandon(sys.stdout)
