"""The one way to start a thread: an exception that ends it ends the process, which somebody then starts anew.

A thread that dies alone leaves a process that looks alive and does nothing. `tests/project/test_threads.py` finds
any other way.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

CRASHED = 70

OnError = Callable[[BaseException], None]
_tell: list[Callable[[str], None]] = []


def start(
    target: Callable[[], Any],
    name: str,
    *,
    daemon: bool = True,
    stop: threading.Event | None = None,
    on_error: OnError | None = None,
) -> threading.Thread:
    """Starts a thread that runs `target`. Where that raises, the traceback is printed and the process ends with 70.

    `on_error` gets the exception instead, for a caller that can do without the thread. An exception after `stop` was
    set is what a close did to a thread that was still at work: it ends the thread alone.
    """

    def run() -> None:
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - whatever it was, the thread is over
            if stop is None or not stop.is_set():
                _over(error, on_error)

    thread = threading.Thread(target=run, name=name, daemon=daemon)
    thread.start()
    return thread


def on_crash(tell: Callable[[str], None]) -> None:
    """`tell` gets the sentence that says which thread ended this process, and why."""
    _tell[:] = [tell]


def _over(error: BaseException, on_error: OnError | None) -> None:
    if on_error is None:
        end_process(error)
        return
    try:
        on_error(error)
    except BaseException as another:  # noqa: BLE001 - nobody is left who could take it
        end_process(another)


def end_process(error: BaseException) -> None:
    """Prints the traceback of `error` and ends this process at once: nothing in it can be trusted to close anything."""
    name = threading.current_thread().name
    with contextlib.suppress(Exception):  # the end comes in any case
        for tell in _tell:
            tell(f"thread {name!r} ended: {type(error).__name__}: {error}")
    with contextlib.suppress(OSError, ValueError):  # the disk that the log lies on may be what is full
        print(f"thread {name!r} ended:", file=sys.stderr)
        traceback.print_exception(error, file=sys.stderr)
        sys.stderr.flush()
    os._exit(CRASHED)


def pool(name: str, workers: int = 1) -> ThreadPoolExecutor:
    """Threads for jobs whose futures somebody looks at: an exception is the future's, never the thread's."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, name)
