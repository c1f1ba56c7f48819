"""Opens a device that has gone once more, in a thread of its own: a card may take seconds to say yes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from audio_pipeline import threads
from audio_pipeline.errors import DeviceError

RETRY_NS = 1_000_000_000
OFTEN = 30  # tries after which it is asked less often
SELDOM_NS = 5_000_000_000


class Closable(Protocol):
    """Anything with a `close`."""

    def close(self) -> None: ...


_D = TypeVar("_D", bound=Closable)


class Reopening(Generic[_D]):
    """Tries `make` every second, after half a minute every five, until it works; then `wake` is called.

    Everything but `make` belongs to the caller's thread. `error` is why the last try failed.
    """

    def __init__(self, make: Callable[[], _D], wake: Callable[[], None], now_ns: int) -> None:
        self._make, self._wake = make, wake
        self._next_ns = now_ns + RETRY_NS
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._made: _D | None = None
        self._closed = False
        self._tries = 0
        self.error = ""

    def poll(self, now_ns: int) -> _D | None:
        """The device, once it is open; call it now and then."""
        with self._lock:
            made, self._made = self._made, None
        busy = self._thread is not None and self._thread.is_alive()
        if made is None and not busy and now_ns >= self._next_ns:
            self._tries += 1
            self._next_ns = now_ns + (RETRY_NS if self._tries < OFTEN else SELDOM_NS)
            self._thread = threads.start(self._try, "reopen")
        return made

    def _try(self) -> None:
        try:
            made = self._make()
        except DeviceError as error:
            self.error = str(error)
            return
        with self._lock:
            unwanted = self._closed
            self._made = None if unwanted else made
        if unwanted:
            made.close()
        else:
            self._wake()

    def close(self) -> None:
        """Wants it no more; what opens later is closed at once."""
        with self._lock:
            self._closed = True
            made, self._made = self._made, None
        if made is not None:
            made.close()
