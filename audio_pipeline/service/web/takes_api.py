"""Takes of a session: recorded, listed, played, deleted."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import FileResponse

from audio_pipeline.service import takes
from audio_pipeline.service.web.call import Call, in_thread
from audio_pipeline.service.web.errors import ApiError, not_found
from audio_pipeline.service.web.messages import RecordCommand, Recording
from audio_pipeline.service.web.sessions_api import session_of

WAV = "audio/wav"


async def record(call: Call) -> Recording:
    """Begins a take, or ends the one under way; answered when that has happened."""
    folder = session_of(call)
    body: RecordCommand = call.body
    client, recorders = call.service.sessions.client(folder), call.service.sessions.entry(folder).recorders
    if not recorders:
        raise ApiError(HTTPStatus.CONFLICT, "this pipeline has no recorder", code="refused")
    graph = await client.graph()
    running = [name for name in recorders if name in graph.graph["nodes"]]
    if bool(running) == body.on:
        return Recording(body.on, _take_of(graph.graph["nodes"], running))
    if not body.on:
        take = _take_of(graph.graph["nodes"], running)
        await client.edit([{"op": "remove", "name": name} for name in running], graph.revision)
        return Recording(False, take)
    take_folder = takes.new_take(folder.takes)
    added = [
        {"op": "add", "name": name, "node": {**node, "folder": str(take_folder)}} for name, node in recorders.items()
    ]
    await client.edit(added, graph.revision)
    return Recording(True, take_folder.name)


def _take_of(nodes: dict[str, Any], running: list[str]) -> str:
    return str(nodes[running[0]].get("folder", "")).rpartition("/")[2] if running else ""


async def list_takes(call: Call) -> list[takes.TakeEntry]:
    """Every take of the session, oldest first."""
    folder = session_of(call)
    return await in_thread(call.service.pool, lambda: takes.take_entries(folder.takes))


async def track(call: Call) -> FileResponse:
    """One track as WAV; ranges of it can be asked for."""
    folder = session_of(call)
    take, number = call.path("take"), call.path("track")
    path = await in_thread(call.service.pool, lambda: takes.track_file(folder.takes, take, number))
    if path is None:
        raise not_found("track that is finished")
    return FileResponse(path, media_type=WAV, filename=path.name, headers={"Cache-Control": "private, max-age=3600"})


async def delete(call: Call) -> None:
    """Deletes a take."""
    folder = session_of(call)
    take = call.path("take")
    if not await in_thread(call.service.pool, lambda: takes.delete_take(folder.takes, take)):
        raise not_found("take")
