"""The host: what it has, what runs on it, whether it is well."""

from __future__ import annotations

import psutil
from starlette.responses import JSONResponse, Response

from audio_pipeline.cpu import cores
from audio_pipeline.errors import PipelineError
from audio_pipeline.host.log_ring import last_lines
from audio_pipeline.service.budget import ShortageError
from audio_pipeline.service.web.call import Call, in_thread
from audio_pipeline.service.web.messages import HostInfo, ModelInfo, Ready, Reserved, Used
from audio_pipeline.service.web.metrics import CONTENT_TYPE, text_of
from audio_pipeline.service.web.sessions_api import session_infos
from audio_pipeline.service.web.state import Service, restarts
from audio_pipeline.serving.services import running_services

LOG_LINES = 50


async def host(call: Call) -> HostInfo:
    """This host: what sessions may have of it, what is set aside, what runs."""
    service, budget = call.service, call.service.budget
    capacity, reserved = budget.capacity, budget.reserved
    return HostInfo(
        cpus=cores(),
        cpu_percent=psutil.cpu_percent(None),
        cores=Used(capacity.cores, round(reserved.cores, 3)),
        memory_mb=Used(capacity.mb, round(reserved.mb, 1)),
        memory_free_mb=round(psutil.virtual_memory().available / 1e6, 1),
        gpu=service.gpus,
        models=await in_thread(service.pool, _models),
        sessions=await session_infos(service),
        costs={name: Reserved(cost.cores, cost.mb) for name, cost in budget.measured.items()},
        restarts=restarts(service),
        draining=service.is_draining,
        log=last_lines(service.options.log, LOG_LINES),
    )


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
