"""A web application in this process, without a socket: a service with folders of its own, and clients of each role."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from starlette.applications import Starlette

from audio_pipeline.service.access import COOKIE_S, LOGIN_S, Identity
from audio_pipeline.service.budget import Budget, Cost
from audio_pipeline.service.options import ServiceOptions
from audio_pipeline.service.sessions import Sessions
from audio_pipeline.service.web.app import make_app
from audio_pipeline.service.web.identify import cookie_name
from audio_pipeline.service.web.state import Service, announce_end, make_service

PORT = 8080
ORIGIN = f"http://127.0.0.1:{PORT}"
PLENTY = Cost(1_000.0, 1e6)


def options(folder: Path, host: str = "127.0.0.1", public: tuple[str, ...] = ()) -> ServiceOptions:
    state, runtime = folder / "state", folder / "run"
    runtime.mkdir(parents=True, exist_ok=True)
    return ServiceOptions(host, PORT, str(state), str(runtime), str(folder / "keys"), public, upload_mb=2.0)


class Starting(subprocess.Popen[bytes]):
    """In a session's place a process that starts and starts: what is tested is everything around it."""

    def __init__(self) -> None:
        self.returncode = None

    def __del__(self) -> None:
        """There is nothing to be collected."""

    def poll(self) -> None:
        return None


def service_in(folder: Path, *, limit: Cost = PLENTY, host: str = "127.0.0.1", public: tuple[str, ...] = ()) -> Service:
    """One whose sessions have no process."""
    service = make_service(options(folder, host, public), limit)
    service.sessions = Sessions(service.options.sessions, service.catalog, Budget(limit), lambda folder: Starting())
    service.sessions.on_over = lambda session: announce_end(service.options, session)
    return service


def login(service: Service, role: str = "control", name: str = "ann") -> dict[str, str]:
    """The cookie of somebody who is logged in."""
    return {cookie_name(service): service.cookies.issue(Identity(name, role), COOKIE_S)}


def token(service: Service, role: str = "control") -> str:
    """Of a login link."""
    return service.logins.issue(Identity("ann", role), LOGIN_S)


@asynccontextmanager
async def alive(app: Starlette) -> AsyncIterator[None]:
    """The application between its start and its end, as a server runs it."""
    async with app.router.lifespan_context(app):
        yield


@asynccontextmanager
async def client_of(
    service: Service, role: str | None = "control", *, base: str = ORIGIN
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application; `role` None is nobody."""
    app = make_app(service, {})
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    cookies = None if role is None else login(service, role)
    async with alive(app), httpx.AsyncClient(transport=transport, base_url=base, cookies=cookies) as client:
        yield client
