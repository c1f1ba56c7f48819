"""Pipelines to choose from, and files of users."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.service.uploads import Upload
from audio_pipeline.service.web.call import Call, in_thread
from audio_pipeline.service.web.errors import ApiError, not_found
from audio_pipeline.service.web.messages import Config

BLOCK = 1 << 18


async def configs(call: Call) -> list[Config]:
    """The pipelines that sessions can be made of, with their parameters."""
    return [
        Config(entry.offer.id, entry.offer.title, entry.offer.text, entry.offer.kind, list(entry.parameters.values()))
        for entry in call.service.catalog.entries.values()
    ]


async def files(call: Call) -> list[Upload]:
    """Every file that was uploaded, newest last."""
    return await in_thread(call.service.pool, call.service.uploads.all)


async def upload(call: Call) -> Upload:
    """Takes a sound file as the raw body, decodes it and keeps the sound."""
    uploads, service = call.service.uploads, call.service
    try:
        part = await in_thread(service.pool, uploads.part)
    except PipelineError as error:
        raise ApiError(HTTPStatus.INSUFFICIENT_STORAGE, str(error), code="full") from error
    try:
        await _receive(call, part)
        name = call.request.query_params.get("name", "")
        return await in_thread(service.decoders, lambda: uploads.take_in(part, name))
    except MediaError as error:
        raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"the file {error}", code="media", where="body") from error
    finally:
        part.unlink(missing_ok=True)


async def _receive(call: Call, part: Path) -> None:
    waiting = bytearray()
    with part.open("wb") as file:
        async for chunk in call.request.stream():
            waiting += chunk
            if len(waiting) >= BLOCK:
                block = bytes(waiting)
                waiting.clear()
                await in_thread(call.service.pool, lambda block=block: file.write(block))  # type: ignore[misc]
        await in_thread(call.service.pool, lambda: file.write(bytes(waiting)))


async def delete(call: Call) -> None:
    """Deletes a file; sessions that play it play on."""
    number = call.path("id")
    if not await in_thread(call.service.pool, lambda: call.service.uploads.delete(number)):
        raise not_found("file")
