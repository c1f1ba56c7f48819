"""One pipeline whose sound is carried: what it publishes, its policy, and the streams that lead into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any

import zmq

from audio_pipeline.gateway.dispatch import Dispatcher
from audio_pipeline.gateway.notices import Notices
from audio_pipeline.gateway.policy import Callers
from audio_pipeline.gateway.ports import PortsQuery
from audio_pipeline.gateway.relay import Places, Relay, Send
from audio_pipeline.gateway.session import Capacity, Sessions
from audio_pipeline.host.runtime import RunDir, is_alive

CAPACITY = Capacity(sessions=192, kept=32, users="connection", where="browsers", prefix="~ws~")
NOTICES = 50


class Backend:
    """The part of a gateway that stands in front of one pipeline. Raises PipelineError where that has ended."""

    def __init__(self, context: zmq.Context[Any], run: RunDir, send: Send, places: Places, callers: Callers) -> None:
        token = run.token
        self.run = run
        self.counts: Counter[str] = Counter()
        self.notices = Notices(NOTICES)
        self.sessions = Sessions(context, CAPACITY)
        self.relay = Relay(self.sessions, send, places, token, self.counts, self.notices)
        self.dispatcher = Dispatcher(run, callers, None, self.relay, send, self.counts)
        self.ports = PortsQuery(context, run.control, token)
        self.ports.ask()

    @property
    def is_alive(self) -> bool:
        """Whether the pipeline still runs."""
        return is_alive(self.run.path)

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """At which something may wait."""
        return [self.ports.socket, *self.sessions.sockets]

    def serve(self, ready: Container[object]) -> None:
        """Takes what the pipeline said, and passes on what came of sound."""
        if self.ports.socket in ready and (ports := self.ports.receive()) is not None:
            self.dispatcher.publish(ports)
        self.relay.pass_all_out(ready)

    def review(self, now_s: float) -> None:
        """Once a second: who is silent, what is published."""
        self.relay.expire(now_s)
        self.ports.ask()

    def close(self) -> None:
        """Lets go of the pipeline; it goes on."""
        self.sessions.close()
        self.ports.socket.close(linger=0)
