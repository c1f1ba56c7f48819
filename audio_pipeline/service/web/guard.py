"""What every request passes first: host names, origins, rates, sizes. A pure ASGI middleware."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from audio_pipeline.service.bucket import Buckets
from audio_pipeline.service.origins import Origins
from audio_pipeline.service.web.errors import ApiError

RATE, BURST = 50.0, 200.0  # requests of one address
LOGIN_RATE, LOGIN_BURST = 0.5, 10.0
JSON_BYTES = 1 << 20
PAGE_METHODS = ("GET", "HEAD")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-accel-buffering", b"no"),
)


class Guard:
    """Around the whole application."""

    def __init__(
        self, app: ASGIApp, origins: Origins, upload_bytes: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._origins, self._upload_bytes, self._now_s = app, origins, upload_bytes, now_s
        self._all, self._logins = Buckets(RATE, BURST), Buckets(LOGIN_RATE, LOGIN_BURST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            self.check(scope)
        except ApiError as error:
            await _refuse(error, scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._app(scope, _limited(receive, self._most_bytes(scope)), _with_headers(send))

    def check(self, scope: Scope) -> None:
        """Raises ApiError for what comes from elsewhere, too often, or is too large."""
        headers = dict(scope["headers"])  # of a name that comes twice the last one, as the application reads it
        if sum(name == b"host" for name, _ in scope["headers"]) != 1:
            raise ApiError(HTTPStatus.BAD_REQUEST, "expected one Host", code="host")
        refusal = self._origins.host_refusal(headers[b"host"])
        if refusal:
            raise ApiError(HTTPStatus.MISDIRECTED_REQUEST, refusal, code="host")
        self._check_origin(scope, headers)
        self._check_rate(scope)
        self._check_length(scope, headers)

    def _check_origin(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        site = headers.get(b"sec-fetch-site", b"")
        if scope["type"] == "http" and scope["method"] in PAGE_METHODS and not scope["path"].startswith("/v1/"):
            site = b""  # a link to a page may stand anywhere
        refusal = self._origins.origin_refusal(headers[b"host"], headers.get(b"origin"), site)
        if refusal:
            raise ApiError(HTTPStatus.FORBIDDEN, refusal, code="origin")

    def _check_rate(self, scope: Scope) -> None:
        address = str((scope.get("client") or ("",))[0])
        wait_s = self._all.wait_s(address, self._now_s())
        if not wait_s and scope["path"] == "/v1/login":
            wait_s = self._logins.wait_s(address, self._now_s())
        if wait_s:
            retry = {"Retry-After": str(max(round(wait_s), 1))}
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, "too many requests; wait a moment", headers=retry)

    def _most_bytes(self, scope: Scope) -> int:
        return self._upload_bytes if scope["path"] == "/v1/files" else JSON_BYTES

    def _check_length(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        stated = headers.get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > self._most_bytes(scope):
            raise _too_large(self._most_bytes(scope))


def _too_large(most: int) -> ApiError:
    return ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a body of at most {most} bytes", most=most)


def _limited(receive: Receive, most: int) -> Receive:
    """Counts what really comes: a body may state no length."""
    got = 0

    async def limited() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > most:
            raise _too_large(most)
        return message

    return limited


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in message.get("headers", ())}
            more: list[Any] = [header for header in HEADERS if header[0] not in names]
            if b"cache-control" not in names:
                more.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return sent


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})  # before it was accepted: 403
        return
    await error.response(scope, receive, _with_headers(send))
