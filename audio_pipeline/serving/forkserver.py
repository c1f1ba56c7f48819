"""The process that forks a pipeline's workers: `python -m audio_pipeline.serving.forkserver PARENT_PID [WORD...]`.

It imports what workers have in common, once. Standard input is its channel: the supervisor says whose it is and what
the kinds of its graph need (`Own`; the first one is answered with a byte), and asks for each worker with a `Take` and
the worker's end of a connection. Since it forks it has one thread, and makes no context of ZeroMQ and no session of a
model. Packages that the kinds name are imported as well, so that all share their memory; where one of them starts
threads, the answer says so, and the next one is `plain`: there each worker imports what its own nodes name. One that
is started `later`, while others play, stands back until it is ready.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from audio_pipeline.errors import WireError
from audio_pipeline.host.parent import die_with_parent
from audio_pipeline.serving.forked import print_to, set_mark, threads_now
from audio_pipeline.serving.forked_worker import heavy
from audio_pipeline.serving.forker import Forker, child_signals, import_all, import_own
from audio_pipeline.serving.pool_messages import HEAD, LATER, PLAIN, READY, THREADS, Own, exactly, parse_own, size_in
from audio_pipeline.terminal import mend, write
from audio_pipeline.worker.scheduling import SPARE_NICE, stand_back

ASK_S = 2.0  # for a request to be whole
TURN_S = 0.5


class Forkserver:
    """Serves one supervisor. In one thread: it forks."""

    def __init__(self, channel: socket.socket, parent: int, *, plain: bool = False) -> None:
        self._channel, self._forker = channel, Forker()
        self._selector = selectors.DefaultSelector()
        self._selector.register(channel, selectors.EVENT_READ, self._request)
        self._watch(child_signals())
        self._preload: tuple[str, ...] = ()
        self._is_plain, self._is_ready = plain, False
        self._is_open = True
        self._follow(parent)

    def _watch(self, signals: socket.socket) -> None:
        self._selector.register(signals, selectors.EVENT_READ, lambda: signals.recv(4_096))

    def _follow(self, parent: int) -> None:
        """Workers end with the supervisor: by their connections, and where a copy of those is open elsewhere by us."""
        try:
            self._selector.register(os.pidfd_open(parent), selectors.EVENT_READ, self._on_orphaned)
        except (OSError, AttributeError):  # gone already, or a kernel before 5.3
            die_with_parent(parent)

    def _on_orphaned(self) -> None:
        self._forker.end_workers()
        self._forker.warm.close()
        os._exit(0)

    def run(self) -> None:
        """Until the supervisor has closed the channel and all workers have ended."""
        while self._is_open or self._forker:
            for key, _ in self._selector.select(TURN_S):
                key.data()
            self._forker.collect(time.monotonic())
            if self._is_open:
                self._forker.prepare([self._preload], time.monotonic())
        self._forker.warm.close()

    def _request(self) -> None:
        try:
            head, descriptors, _, _ = socket.recv_fds(self._channel, HEAD.size, 1)
            self._answer(head, descriptors)
        except (OSError, EOFError, WireError) as error:
            if not isinstance(error, EOFError):
                write(f"a request was refused: {error}")
            self._selector.unregister(self._channel)
            self._is_open = False

    def _answer(self, head: bytes, descriptors: Sequence[int]) -> None:
        """What a supervisor asks. Raises EOFError where it has closed the channel, OSError, WireError."""
        head += exactly(self._channel, HEAD.size - len(head)) if head else b""
        if not head:
            raise EOFError
        data = exactly(self._channel, size_in(head))
        request = parse_own(data)
        if isinstance(request, Own):
            self._begin(request)
        elif descriptors:
            os.set_inheritable(descriptors[0], False)
            connection = socket.socket(fileno=descriptors[0])
            connection.settimeout(ASK_S)
            with suppress(OSError):  # a supervisor that has given up the worker
                self._forker.take(request, data, connection, time.monotonic())

    def _begin(self, own: Own) -> None:
        with suppress(OSError):
            print_to(own.log)
        with suppress(ValueError):  # it ends with its supervisor, marked or not
            set_mark(own.run)
        if self._is_plain or self._is_ready:  # what is new in a changed graph is left to those who need it
            self._preload = tuple(module for module in heavy(own.preload) if module not in sys.modules)
            import_own(own.preload)
        else:
            import_all(own.preload)
        if not self._is_ready:
            stand_back(0)
            self._is_ready = threads_now() == 1
            self._channel.sendall(READY if self._is_ready else THREADS)


def main() -> int:
    """Entry point."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what Ctrl-C means
    mend(sys.stdout)  # what a node prints ends no node, whatever the locale
    mend(sys.stderr)
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what a worker inherits
    os.close(nothing)
    channel.settimeout(ASK_S)
    if LATER in sys.argv[2:]:
        stand_back(SPARE_NICE)
    import_own(())
    Forkserver(channel, int(sys.argv[1]), plain=PLAIN in sys.argv[2:]).run()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
