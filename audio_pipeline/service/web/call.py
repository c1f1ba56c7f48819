"""A row of the route table, and one request to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from audio_pipeline.service.access import Identity
from audio_pipeline.service.web.errors import ApiError
from audio_pipeline.service.web.state import Service

T = TypeVar("T")
NOBODY = Identity("", "listen")


@dataclass(frozen=True)
class Call:
    """One request whose caller may make it."""

    service: Service
    request: Request
    identity: Identity
    body: Any = None  # of the route's type

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Route:
    """One operation of the API."""

    method: str
    path: str
    handler: Handler
    role: str | None  # the least one; None: anybody
    about: str
    body: Any = None  # type of a JSON body
    reply: Any = None  # type of a JSON reply; None: no content, or another type
    status: int = 200
    takes: str = ""  # media type of a body that is no JSON
    gives: str = ""  # media type of a reply that is no JSON
    query: tuple[str, ...] = ()  # names of text parameters
    refusals: tuple[int, ...] = ()  # statuses beside those of every route


@dataclass(frozen=True)
class Given:
    """A reply with headers of its own."""

    value: Any
    headers: dict[str, str]


async def in_thread(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """Runs what blocks beside the event loop."""
    return await asyncio.wrap_future(pool.submit(work))


async def decoded(route: Route, request: Request) -> Any:
    """The body of a request. Raises ApiError."""
    if route.body is None:
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        said = f"expected a body of type application/json, got {kind[:80] or 'none'}"
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, said)
    try:
        return msgspec.json.decode(await request.body(), type=route.body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"body: {error}", where="body") from error


def encoded(route: Route, value: Any) -> Response:
    """What is sent for what a handler returned."""
    if isinstance(value, Response):
        return value
    given = value if isinstance(value, Given) else Given(value, {})
    if route.reply is None:
        return Response(None, route.status, given.headers)
    return Response(msgspec.json.encode(given.value), route.status, given.headers, "application/json")
