"""What the media process counts, as a file in the service's folder that is written anew each second."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from audio_pipeline import terminal
from audio_pipeline.private_file import write_whole
from audio_pipeline.service.media.backend import Backend
from audio_pipeline.service.media.connection import Connection

NAME = "media.json"


class Stats:
    """Counters of connections that are gone, to which those that are there are added."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._worst_turn_ns = 0

    def turn(self, took_ns: int) -> None:
        """One turn of the loop."""
        self.counts["turns"] += 1
        self.counts["busy_ns"] += took_ns
        self._worst_turn_ns = max(self._worst_turn_ns, took_ns)

    def gone(self, connection: Connection) -> None:
        """One that has ended."""
        self.counts["ended"] += 1
        self.counts += _of(connection)

    def left(self, backend: Backend) -> None:
        """A pipeline that has ended."""
        self.counts += backend.counts

    def notices(self, backend: Backend) -> None:
        """For the log."""
        for notice in backend.notices.drain():
            terminal.warn(f"{backend.run.name}: {notice}")

    def write(self, folder: Path, connections: Iterable[Connection], handed: Mapping[str, int]) -> None:
        """A full disk costs the figures alone."""
        with contextlib.suppress(OSError):
            write_whole(folder / NAME, json.dumps(self.figures(list(connections), handed)), mode=0o600, sync=False)

    def figures(self, connections: list[Connection], handed: Mapping[str, int]) -> dict[str, object]:
        """All of it, without names of users or sessions."""
        totals = self.counts + Counter(handed)
        for connection in connections:
            totals += _of(connection)
        for backend in {connection.backend for connection in connections}:
            totals += backend.counts
        reports = [report for connection in connections for report in connection.conversation.audible.values()]
        return {
            "pid": os.getpid(),
            "connections": len(connections),
            "streams": Counter(kind for connection in connections for kind in connection.streams()),
            "waiting": sum(len(connection.outbox) for connection in connections),
            "worst_turn_ms": self._worst_turn_ns / 1e6,
            "counts": dict(sorted(totals.items())),
            "audible": {
                "reports": len(reports),
                "underruns": sum(report.underruns for report in reports),
                "buffer_ms": [report.buffer_ms for report in reports],
            },
        }


def _of(connection: Connection) -> Counter[str]:
    websocket = connection.websocket
    found = {f"refused_{code}": amount for code, amount in connection.conversation.refused.items()}
    return Counter(
        {
            "bytes_in": websocket.bytes_in,
            "bytes_out": websocket.bytes_out,
            "messages_in": websocket.frames,
            "dropped_stale": connection.outbox.stale,
            **found,
        }
    )
