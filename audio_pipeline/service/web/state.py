"""What the web process has: the service's parts, made once."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audio_pipeline import threads
from audio_pipeline.errors import ConfigError
from audio_pipeline.private_file import write_private
from audio_pipeline.service.access import ApiKeys, Tickets
from audio_pipeline.service.budget import Budget, Cost
from audio_pipeline.service.catalog import Catalog
from audio_pipeline.service.estimate import capacity
from audio_pipeline.service.media.handover import Ended, order
from audio_pipeline.service.options import ServiceOptions
from audio_pipeline.service.origins import Origins
from audio_pipeline.service.sessions import Sessions
from audio_pipeline.service.uploads import Uploads
from audio_pipeline.settings import build

WORKERS = 4  # threads for files and decoders
MOST_DECODERS = 2


@dataclass
class Service:
    """One web process."""

    options: ServiceOptions
    catalog: Catalog
    sessions: Sessions
    uploads: Uploads
    logins: Tickets
    cookies: Tickets
    keys: ApiKeys
    origins: Origins
    pool: ThreadPoolExecutor
    decoders: ThreadPoolExecutor
    is_draining: bool = False
    gpus: list[str] = field(default_factory=list)
    since_s: float = field(default_factory=time.monotonic)

    @property
    def budget(self) -> Budget:
        return self.sessions.budget

    def save_costs(self) -> None:
        """What was measured serves the next web process as well. Raises OSError."""
        content = {config: asdict(cost) for config, cost in self.budget.measured.items()}
        write_private(self.options.costs, json.dumps(content).encode())


def make_service(options: ServiceOptions, limit: Cost | None = None) -> Service:
    """The parts of a web process. Raises ConfigError, OSError."""
    catalog = Catalog()
    sessions = Sessions(options.sessions, catalog, Budget(limit or capacity(), _costs(options.costs)))
    sessions.on_over = lambda session: announce_end(options, session)
    return Service(
        options,
        catalog,
        sessions,
        Uploads(options.files),
        Tickets(options.logins),
        Tickets(options.cookies),
        ApiKeys(Path(options.keys)),
        Origins(options.host, options.port, options.public),
        threads.pool("files", WORKERS),
        threads.pool("decoders", MOST_DECODERS),
    )


def announce_end(options: ServiceOptions, session: str) -> None:
    """Has the media process close the connections of a session that is over."""
    with suppress(OSError):  # it is not there just now: nobody is connected
        order(Path(options.folder), Ended(v=1, ended=session))


def _costs(path: Path) -> dict[str, Cost]:
    """As an earlier web process has measured them."""
    try:
        raw = json.loads(path.read_bytes())
        return {str(config): build(Cost, cost) for config, cost in raw.items()}
    except (OSError, ValueError, AttributeError, RecursionError, ConfigError):
        return {}


def restarts(service: Service) -> dict[str, int]:
    """How often the parent has started each of its children anew."""
    try:
        found: dict[str, Any] = json.loads(service.options.restarts.read_bytes())
        return {str(name): int(count) for name, count in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
