"""The web application, made from the route table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from http import HTTPStatus
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.routing import Route as StarletteRoute

from audio_pipeline.errors import PipelineError
from audio_pipeline.service.web.call import NOBODY, Call, Route, decoded, encoded
from audio_pipeline.service.web.errors import ApiError, api_error
from audio_pipeline.service.web.events import Events
from audio_pipeline.service.web.feeds import Feeds
from audio_pipeline.service.web.guard import Guard
from audio_pipeline.service.web.identify import allowed
from audio_pipeline.service.web.openapi import document
from audio_pipeline.service.web.pages import Page, Pages, pages
from audio_pipeline.service.web.state import Service
from audio_pipeline.service.web.table import ROUTES
from audio_pipeline.terminal import warn

TURN_S = 1.0
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(service: Service, shown: Mapping[str, Page] | None = None) -> Starlette:
    """The application of one web process."""
    found = pages() if shown is None else shown
    feeds = Feeds(service)
    api = document(ROUTES, version("audio-pipeline"))

    async def openapi(request: Request) -> Response:
        return JSONResponse(api)

    routes: list[BaseRoute] = [StarletteRoute(path, Pages(found).answer, methods=["GET"]) for path in found]
    routes += [StarletteRoute(route.path, endpoint(service, route), methods=[route.method]) for route in ROUTES]
    routes += [
        StarletteRoute("/v1/openapi.json", openapi, methods=["GET"]),
        WebSocketRoute("/v1/sessions/{id}/events", Events(service, feeds).serve),
    ]
    origins, upload_bytes = service.origins, round(service.options.upload_mb * 1e6)
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, origins=origins, upload_bytes=upload_bytes)],
        exception_handlers={HTTPException: _on_http_error, ApiError: _on_api_error, Exception: _on_fault},
        lifespan=lambda app: _alive(service, feeds),
    )
    app.router.redirect_slashes = False  # it would answer with a URL made of the request's Host
    return app


def endpoint(service: Service, route: Route) -> Endpoint:
    """A row as Starlette calls it."""

    async def answer(request: Request) -> Response:
        identity = NOBODY if route.role is None else allowed(service, request.scope["headers"], route.role)
        body = await decoded(route, request)
        try:
            return encoded(route, await route.handler(Call(service, request, identity, body)))
        except PipelineError as error:
            raise api_error(error) from error

    return answer


def _alive(service: Service, feeds: Feeds) -> AbstractAsyncContextManager[None]:
    @asynccontextmanager
    async def alive() -> AsyncIterator[None]:
        service.sessions.adopt()
        turns = asyncio.get_running_loop().create_task(_turns(service))
        try:
            yield
        finally:
            turns.cancel()
            with suppress(asyncio.CancelledError):
                await turns
            await feeds.close()
            await service.sessions.close()

    return alive()


async def _turns(service: Service) -> None:
    while True:
        before = dict(service.budget.measured)
        try:
            await service.sessions.turn()
            if before != service.budget.measured:
                service.save_costs()
        except (PipelineError, OSError) as error:  # one bad folder stops no service
            warn(f"audio-pipeline serve: {error}")
        await asyncio.sleep(TURN_S)


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    if error.status == HTTPStatus.NOT_MODIFIED:
        return Response(None, error.status, error.headers)
    return error.response


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return ApiError(error.status_code, error.detail, headers=error.headers).response


async def _on_fault(request: Request, error: Exception) -> Response:
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "the service made a mistake; its log says more").response
