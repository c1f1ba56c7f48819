"""The web process: `python -m audio_pipeline.service.web.main LISTENER`, its options as JSON on standard input.

It inherits the listening socket; the number of its descriptor is the argument.
"""

from __future__ import annotations

import json
import os
import socket
import sys

import uvicorn

from audio_pipeline.errors import PipelineError
from audio_pipeline.service.options import ServiceOptions
from audio_pipeline.service.web.app import make_app
from audio_pipeline.service.web.guard import Guard
from audio_pipeline.service.web.state import make_service
from audio_pipeline.service.web.upgrade import protocol_for
from audio_pipeline.settings import build
from audio_pipeline.terminal import warn

MOST_CONNECTIONS = 512
GRACE_S = 3
PING_S = 20.0
MESSAGE_BYTES = 1 << 16


def serve(options: ServiceOptions, listener: socket.socket) -> None:
    """Serves until a signal. Raises PipelineError."""
    service = make_service(options)
    guard = Guard(_nothing, service.origins, round(options.upload_mb * 1e6))
    config = uvicorn.Config(
        make_app(service),
        http=protocol_for(service, guard),
        loop="asyncio",
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ws_per_message_deflate=False,
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    uvicorn.Server(config).run([listener])


async def _nothing(*_: object) -> None:
    """The guard of upgrades for sound only checks."""


def main() -> int:
    """Runs until it is ended."""
    task = json.loads(sys.stdin.buffer.read())
    os.chdir("/")
    try:
        serve(build(ServiceOptions, task, ("service",)), socket.socket(fileno=int(sys.argv[1])))
    except PipelineError as error:
        warn(f"audio-pipeline serve: {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
