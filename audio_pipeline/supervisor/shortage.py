"""What the system has too little of for a moment: descriptors, memory, processes, room on a disk. It ends nothing."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator

SHORT = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.ENOBUFS,
        errno.ENOSPC,
        errno.EDQUOT,
    }
)
QUIET_S = 60.0  # the same shortage of the same step is reported so seldom
NO_THREAD = "can't start new thread"  # CPython's text where the system refuses one


def is_shortage(error: BaseException) -> bool:
    """Whether an error, or its cause, is that the system has too little of something.

    >>> is_shortage(OSError(errno.EMFILE, "Too many open files")), is_shortage(KeyError("mix"))
    (True, False)
    """
    return any(_is_short(each) for each in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _is_short(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and NO_THREAD in str(error)):
        return True
    return getattr(error, "errno", None) in SHORT


def reason_of(error: BaseException) -> str:
    """The error, briefly.

    >>> reason_of(OSError(errno.EMFILE, "Too many open files", "/run/lock"))
    'Too many open files'
    """
    if isinstance(error, MemoryError):
        return "out of memory"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class Steps:
    """Runs the steps of a turn. One that meets a shortage is reported and left for the next turn; the others run."""

    def __init__(self, report: Callable[[str, str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        self._report, self._now_s = report, now_s
        self._reported_s: dict[tuple[str, str], float] = {}

    def attempt(self, name: str, step: Callable[[], object]) -> bool:
        """True where the step went through. Raises whatever is no shortage."""
        try:
            step()
        except Exception as error:
            if not is_shortage(error):
                raise
            self.note(name, reason_of(error))
            return False
        return True

    def note(self, name: str, reason: str) -> None:
        """Reports a shortage, unless the same one was reported within the last minute."""
        now_s = self._now_s()
        self._reported_s = {key: at for key, at in self._reported_s.items() if now_s - at < QUIET_S}
        if (name, reason) not in self._reported_s:
            self._reported_s[name, reason] = now_s
            self._report(name, reason)
