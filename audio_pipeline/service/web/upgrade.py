"""Hands the socket of an upgrade for sound to the media process: the event loop carries no sound.

The web process checks who asks, sends the descriptor with the head of the request over a Unix socket, and closes its
own copy. The media process answers the handshake.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import is_ssl

from audio_pipeline.errors import PipelineError
from audio_pipeline.service.access import Identity
from audio_pipeline.service.media.handover import Handed, hand_over
from audio_pipeline.service.session.folder import SessionFolder
from audio_pipeline.service.web.errors import ApiError, not_found
from audio_pipeline.service.web.guard import Guard
from audio_pipeline.service.web.identify import allowed
from audio_pipeline.service.web.state import Service

AUDIO = re.compile(rb"/v1/sessions/([0-9a-f]{16})/audio")
SEND_S = 0.2
MOST_REST = 1 << 16  # bytes behind the head: nothing may come before the handshake is answered


def handed(service: Service, session: SessionFolder, identity: Identity, request: bytes) -> Handed:
    """What goes to the media process. Raises ApiError while the session has no pipeline, PipelineError."""
    status, entry = service.sessions.status(session), service.sessions.entry(session)
    if status.is_over or not status.run:
        retry = {"Retry-After": "1"}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, f"the session is {status.state}", headers=retry)
    return Handed(
        v=1,
        request=request,
        session=session.id,
        run=status.run,
        name=identity.name,
        role=cast("Any", identity.role),  # one of `keys.ROLES`, but for `host`
        ports=tuple(port.port for port in entry.ports),
        lease=str(session.lease),
    )


class Protocol(HttpToolsProtocol):
    """uvicorn's, but for upgrades for sound."""

    service: Service  # of the class that `protocol_for` makes
    guard: Guard
    _latest = b""

    def data_received(self, data: bytes) -> None:
        self._latest = data
        super().data_received(data)

    def handle_websocket_upgrade(self) -> None:
        found = AUDIO.fullmatch(self.url.partition(b"?")[0])
        if found is None:
            super().handle_websocket_upgrade()
            return
        try:
            self._hand_over(found[1].decode())
        except ApiError as error:
            self._refuse(error)
        except PipelineError as error:
            self._refuse(ApiError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)))

    def _hand_over(self, number: str) -> None:
        scope: dict[str, Any] = {**self.scope, "type": "websocket", "path": self.url.decode("ascii")}
        self.guard.check(scope)
        identity = allowed(self.service, self.headers, "listen")
        session = self.service.sessions.find(number)
        if session is None:
            raise not_found("session")
        if is_ssl(self.transport):
            said = "sound needs a connection without TLS of this process's own: let a proxy do TLS"
            raise ApiError(HTTPStatus.NOT_IMPLEMENTED, said)
        message = handed(self.service, session, identity, self._head())
        self.transport.pause_reading()
        try:
            hand_over(Path(self.service.options.folder), self.transport.get_extra_info("socket"), message, SEND_S)
        except OSError as error:
            said = "the media process is starting; try again"
            raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"Retry-After": "1"}) from error
        self.connections.discard(self)
        self.transport.abort()  # closes this process's copy alone

    def _head(self) -> bytes:
        """The request as it came, and what came behind it."""
        lines = [b"%s %s HTTP/1.1" % (self.scope["method"].encode(), self.url)]
        lines += [b"%s: %s" % header for header in self.headers]
        rest = self._latest.partition(b"\r\n\r\n")[2][:MOST_REST]
        return b"\r\n".join(lines) + b"\r\n\r\n" + rest

    def _refuse(self, error: ApiError) -> None:
        body = bytes(error.response.body)
        head = [b"HTTP/1.1 %d %s" % (error.status, HTTPStatus(error.status).phrase.encode())]
        head += [f"{name}: {value}".encode("latin-1") for name, value in error.headers.items()]
        head += [b"Content-Type: application/json", b"Content-Length: %d" % len(body), b"Connection: close"]
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
        self.transport.close()


def protocol_for(service: Service, guard: Guard) -> type[Protocol]:
    """The class for one service."""
    return type("ServiceProtocol", (Protocol,), {"service": service, "guard": guard})
