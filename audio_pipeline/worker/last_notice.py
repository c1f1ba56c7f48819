"""The last notice of a process: why it ends, on the connection that brought its job.

A notice on the control socket can be read after the end of its process is known. What is written here before the end
is in the connection when the end is noticed, however busy the supervisor is.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import replace

from audio_pipeline.control.notices import Failed, packed
from audio_pipeline.graph.job import Job

HEAD = struct.Struct("<I")
MOST_CHARACTERS = 4_000  # of the reason: the connection holds that much, so nobody waits for a reader
MOST_BYTES = 1 << 16


class LastNotice:
    """The worker's end of the connection; without one nothing is sent, as where a worker is started by hand."""

    def __init__(self, connection: socket.socket | None = None) -> None:
        self._connection = connection

    def send(self, job: Job, notice: Failed) -> None:
        """In the name of the node of a job; from any thread."""
        if self._connection is None:
            return
        data = packed(replace(notice, error=notice.error[:MOST_CHARACTERS]), job.name, job.token)
        with contextlib.suppress(OSError):  # the supervisor is gone
            self._connection.sendall(HEAD.pack(len(data)) + data)


def own_connection() -> socket.socket | None:
    """Standard input where it is a connection; what the nodes start gets an empty one in its place."""
    number = os.dup(0)
    try:
        connection = socket.socket(fileno=number)
    except OSError:  # a pipe, or a terminal
        os.close(number)
        return None
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return connection


def last_in(connection: socket.socket) -> bytes | None:
    """The last notice of a process that has ended, at the supervisor's end. Waits for nothing."""
    connection.setblocking(False)
    data = b""
    with contextlib.suppress(OSError):
        data = connection.recv(MOST_BYTES)  # all that was written: the process is gone
    if len(data) < HEAD.size:
        return None
    (size,) = HEAD.unpack_from(data)
    notice = data[HEAD.size : HEAD.size + size]
    return notice if len(notice) == size else None
