"""The host: what it has, what runs on it, whether it is well."""

from __future__ import annotations

import time
from importlib.metadata import version

import psutil
from starlette.responses import JSONResponse, Response

from audio_pipeline.cpu import cores
from audio_pipeline.errors import PipelineError
from audio_pipeline.host.log_ring import last_lines
from audio_pipeline.service.budget import ShortageError
from audio_pipeline.service.web.call import Call, in_thread
from audio_pipeline.service.web.messages import (
    GpuInfo,
    HostInfo,
    HostSession,
    LogLine,
    Memory,
    ModelInfo,
    Ready,
    Reserved,
    Used,
)
from audio_pipeline.service.web.metrics import CONTENT_TYPE, text_of
from audio_pipeline.service.web.state import Service, restarts
from audio_pipeline.serving.services import running_services

LOG_LINES = 50


async def host(call: Call) -> HostInfo:
    """This host: what sessions may have of it, what is set aside, what runs."""
    service, budget = call.service, call.service.budget
    capacity, reserved = budget.capacity, budget.reserved
    return HostInfo(
        version=version("audio-pipeline"),
        cpus=cores(),
        load=round(psutil.cpu_percent(None) / 100, 3),
        cores=Used(capacity.cores, round(reserved.cores, 3)),
        memory=_memory(capacity.mb, reserved.mb),
        gpu=[GpuInfo(name) for name in service.gpus],
        models=await in_thread(service.pool, _models),
        sessions=_sessions(service),
        costs={name: Reserved(cost.cores, cost.mb) for name, cost in budget.measured.items()},
        restarts=restarts(service),
        draining=service.is_draining,
        uptime_s=round(time.monotonic() - service.since_s, 1),
        log=[LogLine(line) for line in last_lines(service.options.log, LOG_LINES)],
    )


def _memory(capacity_mb: float, reserved_mb: float) -> Memory:
    memory = psutil.virtual_memory()
    return Memory(round(memory.total / 1e6), round(memory.used / 1e6), capacity_mb, round(reserved_mb, 1))


def _sessions(service: Service) -> list[HostSession]:
    found = []
    for folder in service.sessions.all():
        try:
            job = folder.job()
        except PipelineError:
            continue
        cost, state = service.budget.reservation(folder.id), service.sessions.status(folder).state
        found.append(HostSession(folder.id, job.label, job.config, state, cost.cores, cost.mb))
    return found


def _models() -> list[ModelInfo]:
    try:
        return [ModelInfo(each.name, each.status.holds, len(each.status.users)) for each in running_services()]
    except PipelineError:
        return []


async def healthz(call: Call) -> Response:
    """The event loop turns."""
    return Response("ok\n", media_type="text/plain")


async def readyz(call: Call) -> Response:
    """Whether a session could be started now."""
    reasons = reasons_not_ready(call.service)
    body = {"ready": not reasons, "reasons": reasons}
    return JSONResponse(body, 503 if reasons else 200)


def reasons_not_ready(service: Service) -> list[str]:
    """One sentence each; none where it is ready."""
    reasons = ["the service is about to end"] if service.is_draining else []
    if not service.options.media_socket.exists():
        reasons.append("the media process does not listen")
    if not any(_fits(service, config) for config in service.catalog.entries):
        reasons.append("no further session fits on this host")
    return reasons


def _fits(service: Service, config: str) -> bool:
    entry = service.catalog.entry(config)
    try:
        service.budget.check(config, entry.cost)
    except ShortageError:
        return False
    return True


async def metrics(call: Call) -> Response:
    """Prometheus metrics; sessions are counted by config, never named."""
    return Response(text_of(call.service), media_type=CONTENT_TYPE)


async def drain(call: Call) -> Ready:
    """No further session is accepted from now on; those that run play on until they end."""
    call.service.is_draining = True
    return Ready(False, reasons_not_ready(call.service))
