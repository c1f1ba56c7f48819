"""Sessions: created, shown, changed, ended."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any

from audio_pipeline.control.async_client import AsyncClient
from audio_pipeline.control.snapshots import Meters
from audio_pipeline.errors import ConfigError, ControlError, PipelineError
from audio_pipeline.run.assignment import split_key
from audio_pipeline.service.catalog import Entry, overrides
from audio_pipeline.service.session.folder import SessionFolder, SessionJob, SessionStatus
from audio_pipeline.service.session.lease import END_S
from audio_pipeline.service.web.call import Call, Given, in_thread
from audio_pipeline.service.web.errors import ApiError, api_error, not_found
from audio_pipeline.service.web.messages import (
    Audible,
    Changes,
    NewSession,
    Reserved,
    SessionInfo,
    TransportCommand,
    TransportDone,
)
from audio_pipeline.service.web.state import Service

MOST_SETTINGS = 64
ACTIONS = ("play", "pause", "seek", "next", "loop")


def session_of(call: Call) -> SessionFolder:
    """The session that the path names. Raises ApiError."""
    folder = call.service.sessions.find(call.path("id"))
    if folder is None:
        raise not_found("session")
    return folder


def client_of(call: Call) -> AsyncClient:
    """Its pipeline. Raises ApiError, ControlError."""
    return call.service.sessions.client(session_of(call))


async def create(call: Call) -> Given:
    """Starts a session, if there is enough of this host left for it."""
    service = call.service
    body: NewSession = call.body
    if service.is_draining:
        retry = {"Retry-After": "60"}
        raise ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "the service is about to end", code="draining", headers=retry)
    entry = service.catalog.entry(body.config)
    job = await in_thread(service.pool, lambda: _job(service, entry, body, call.identity.name))
    folder = service.sessions.create(entry, job)
    info = await session_info(service, folder)
    return Given(info, {"Location": f"/v1/sessions/{folder.id}"})


def _job(service: Service, entry: Entry, body: NewSession, owner: str) -> SessionJob:
    """What was asked for, checked as a whole by loading it. Raises ConfigError."""
    from audio_pipeline.graph.load import load

    if len(body.set) > MOST_SETTINGS:
        raise ConfigError(f"set: expected at most {MOST_SETTINGS} values, got {len(body.set)}")
    found = overrides(entry, body.set, service.uploads.path)
    load(entry.path, found)
    lease_s = END_S if body.lease_s is None else body.lease_s
    return SessionJob(entry.offer.id, str(entry.path), found, body.label, owner, lease_s, time.time())


async def sessions(call: Call) -> list[SessionInfo]:
    """Every session, those with takes that have ended included."""
    return await session_infos(call.service)


async def session_infos(service: Service) -> list[SessionInfo]:
    """Those that can be read; a damaged folder is left out."""
    found = []
    for folder in service.sessions.all():
        try:
            found.append(await session_info(service, folder))
        except PipelineError:
            continue
    return found


async def session(call: Call) -> Given:
    """One session; its ETag is the revision of its state."""
    info = await session_info(call.service, session_of(call))
    tag = f'"{info.revision}-{info.state}"'
    if call.request.headers.get("if-none-match") == tag:
        raise ApiError(HTTPStatus.NOT_MODIFIED, "", headers={"ETag": tag})
    return Given(info, {"ETag": tag})


async def session_info(service: Service, folder: SessionFolder) -> SessionInfo:
    """A session as it is now. Raises PipelineError for one whose job cannot be read."""
    job, entry = folder.job(), service.sessions.entry(folder)
    status = service.sessions.status(folder)
    meters = await _meters(service, folder, status)
    reserved = service.budget.reservation(folder.id)
    return SessionInfo(
        id=folder.id,
        config=job.config,
        label=job.label,
        state=status.state,
        error=status.error,
        created=job.created_s,
        lease_s=job.lease_s,
        revision=meters.revision if meters else 0,
        recording=meters is not None and bool(entry.recorders.keys() & meters.nodes.keys()),
        stated=entry.stated,
        reserved=Reserved(reserved.cores, reserved.mb),
        ports=list(entry.ports),
        feeds=list(entry.feeds),
        audio=f"/v1/sessions/{folder.id}/audio",
        events=f"/v1/sessions/{folder.id}/events",
    )


async def _meters(service: Service, folder: SessionFolder, status: SessionStatus) -> Meters | None:
    if status.is_over or not status.run:
        return None
    try:
        return await service.sessions.client(folder).meters()
    except ControlError:
        return None  # it is starting, or has ended just now


async def change(call: Call) -> Audible:
    """Changes live settings, in order; the first that is refused ends it. The answer is that of the last one."""
    client = client_of(call)
    body: Changes = call.body
    if not 0 < len(body.set) <= MOST_SETTINGS:
        raise ConfigError(f"set: expected 1 to {MOST_SETTINGS} values, got {len(body.set)}")
    reply = Audible()
    for key, value in body.set.items():
        reply = await _set(client, key, value)
    return reply


async def _set(client: AsyncClient, key: str, value: Any) -> Audible:
    node, name = split_key(key)
    try:
        done = await client.set(node, name, value)
    except ControlError as error:
        refusal = api_error(error)
        refusal.where = f"set.{key}"
        raise refusal from error
    return Audible(done.position, done.heard_in_ms, done.note)


async def end(call: Call) -> None:
    """Ends a session cleanly; one that is over is deleted, with its takes."""
    call.service.sessions.end(session_of(call))


async def transport(call: Call) -> TransportDone:
    """Plays, pauses or moves a source."""
    body: TransportCommand = call.body
    args: dict[str, Any] = {}
    if body.action not in ACTIONS:
        said = f"action: expected one of {', '.join(ACTIONS)}, got {body.action!r:.80}"
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, said, code="unknown_action", where="action")
    if body.action == "seek":
        if body.to_s is None:
            raise ConfigError("to_s: missing, expected where in the song to go")
        args = {"seconds": body.to_s}
    elif body.action == "loop":
        args = {"on": body.on}
    done = await client_of(call).transport(body.node, body.action, **args)
    return TransportDone(done.heard_in_ms, done.note)
