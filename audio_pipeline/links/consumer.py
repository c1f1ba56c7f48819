"""The consumer's end of a link: one DEALER that receives a stream and grants credit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zmq

from audio_pipeline.links.credit import Count
from audio_pipeline.links.limits import A_TURN, DONTWAIT, EVENTS, POLLIN
from audio_pipeline.links.message_codec import pack
from audio_pipeline.links.messages import Bye, LinkMessage
from audio_pipeline.links.port_specs import InSpec
from audio_pipeline.links.receiver import Receiver
from audio_pipeline.links.sockets import connected_dealer

GONE_NS = 100_000_000  # messages that do not go out for so long have no receiver


class InPort(Receiver):
    """Receives one stream, grants credit, and says who it is to whoever comes up behind the endpoint."""

    def __init__(
        self,
        context: zmq.Context[Any],
        spec: InSpec,
        token: str,
        instance: int,
        count: Count,
        on_other: Callable[[LinkMessage], None] = lambda message: None,
    ) -> None:
        """`on_other` gets messages that are not the link's own."""
        super().__init__(spec, token, instance, count, on_other)
        self._unsent_ns: int | None = None  # since when messages do not go out
        self._breaks = spec.endpoint.startswith("tcp:")
        self._context = context
        self.socket = connected_dealer(self._context, self.spec)

    def reconnect(self) -> None:
        """A fresh connection: inproc finds no new producer by itself, tcp may hang on a peer that vanished."""
        self.socket.close(linger=0)
        self.socket = connected_dealer(self._context, self.spec)
        self.ungreet()

    def handle(self, most: int = A_TURN) -> bool:
        """Takes what waits into the local queue, at most so many messages; True where there may be more."""
        for _ in range(most):
            if not int(self.socket.get(EVENTS)) & POLLIN:
                return False
            self.on_bytes(self.socket.recv(DONTWAIT))
        return True

    def receive(self) -> None:
        """Takes what waits up to the first frame, without asking whether anything does: a poll has said so.

        What comes behind that frame is there for the next poll. Asking costs a tenth of what a hop takes.
        """
        try:
            for _ in range(A_TURN):
                if self.on_bytes(self.socket.recv(DONTWAIT)) or not int(self.socket.get(EVENTS)) & POLLIN:
                    return
        except zmq.Again:
            return

    def _send(self, message: LinkMessage) -> bool:
        try:
            self.socket.send(pack(message), flags=DONTWAIT)
        except zmq.Again:
            return False
        self._unsent_ns = None
        return True

    def _on_unsent(self, now_ns: int) -> None:
        """A message did not go out: many are under way, or no producer is there.

        On one host a connection ends with its producer alone, and the next one asks who we are. Elsewhere it can be
        lost with what it held while both live, so after a while whoever comes is greeted anew.
        """
        self._unsent_ns = now_ns if self._unsent_ns is None else self._unsent_ns
        self._changed = True
        if self._greeted and self._breaks and now_ns - self._unsent_ns > GONE_NS:
            self.handle(self.grant.window + A_TURN)  # what has come must not be called lost
            self.ungreet()
        elif not self._greeted:
            self._sent_ns = now_ns

    def _bye(self, message: Bye) -> None:
        try:
            super()._bye(message)
        except zmq.ZMQError:
            self.left = True

    def close(self) -> None:
        if not self._leaving:
            self._bye(Bye())
        self.socket.close(linger=0)
