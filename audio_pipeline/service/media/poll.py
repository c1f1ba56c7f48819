"""What the media process waits for: its sockets, registered as their states change."""

from __future__ import annotations

from collections.abc import Iterable

import zmq

from audio_pipeline.service.media.backend import Backend
from audio_pipeline.service.media.connection import Connection


class Poll:
    """`fixed`: descriptors that are always waited for."""

    def __init__(self, *fixed: int) -> None:
        self._poller = zmq.Poller()
        self._fixed: dict[object, int] = {file: int(zmq.POLLIN) for file in fixed}
        self._known: dict[object, int] = {}

    def wait(
        self, connections: Iterable[Connection], backends: Iterable[Backend], wait_ms: int, now_ns: int
    ) -> dict[object, int]:
        """What is ready: descriptors of connections and sockets of backends."""
        wanted: dict[object, int] = dict(self._fixed)
        for connection in connections:
            wanted[connection.websocket.socket.fileno()] = _events(connection, now_ns)
        for backend in backends:
            wanted.update(dict.fromkeys(backend.sockets, int(zmq.POLLIN)))
        self._register(wanted)
        return dict(self._poller.poll(wait_ms))

    def _register(self, wanted: dict[object, int]) -> None:
        if wanted == self._known:
            return
        for key in self._known.keys() - wanted.keys():
            self._poller.register(key, 0)  # takes it out
        for key, events in wanted.items():
            if self._known.get(key) != events:
                self._poller.register(key, events)
        self._known = wanted


def _events(connection: Connection, now_ns: int) -> int:
    reading = int(zmq.POLLIN) if connection.is_reading(now_ns) else 0
    return reading | (int(zmq.POLLOUT) if connection.is_sending else 0)
