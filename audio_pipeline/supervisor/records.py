"""What the supervisor wants of each node and knows of it: handed to a successor before it is ready."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from audio_pipeline.control.notices import Failed
from audio_pipeline.graph.job import ScheduledSetting
from audio_pipeline.graph.types import NodeSpec
from audio_pipeline.metrics import Reading
from audio_pipeline.node import Latency
from audio_pipeline.setting_values import value_at
from audio_pipeline.settings import replaced

BACKOFF_S = (0.0, 0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
HEALTHY_S = 10.0
MAX_FAILURES = 12


class Phase(str, enum.Enum):
    """Where a node is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    ABSENT = "absent"  # optional, and what it needs is not there
    FAILED = "failed"  # again and again: parked, and tried each minute
    ENDED = "ended"


class Process(Protocol):
    """What runs a node, or several that share it."""

    pid: int
    log: Path  # what it prints into
    last_notice: bytes | None  # why it ended, once it has; from itself

    def kill(self) -> None:
        """At once, with everything it started."""

    def wait(self, timeout_s: float) -> bool:
        """True when it is gone."""

    def last_lines(self) -> list[str]:
        """The end of what it printed."""


@dataclass
class NodeRecord:
    """One node as the supervisor sees it."""

    spec: NodeSpec
    settings: Any
    input_settings: Any
    proven: tuple[Any, Any] | None = None  # settings and those of inputs, with which it last ran
    phase: Phase = Phase.STARTING
    child: Process | None = None
    incarnation: int = 0
    born: int = 0  # the incarnation with which it came into the graph
    revision: int = 1  # of the graph that its process was started for
    ready: bool = False
    failures: int = 0
    started_s: float = 0.0  # monotonic, of the present process
    retry_s: float | None = None
    latency: Latency | None = None
    live: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    schedule: list[ScheduledSetting] = field(default_factory=list)  # settings that wait for their position
    dead: list[Reading] = field(default_factory=list)
    note: str = ""
    failure: Failed | None = None  # why it failed, as the node itself or the watchdog states
    disk_wait_s: float = 0.0  # for so long its loop has stood still for a disk
    cpu: float = 0.0
    rss_mb: float = 0.0
    busy_ns: float = 0.0  # of the present process, when its CPU was last looked at

    @property
    def name(self) -> str:
        return self.spec.name

    def checked(self, name: str, value: Any, typed: str | None = None) -> tuple[str, Any]:
        """Which settings a live one is among, and these with it changed. Raises ConfigError."""
        path = ("nodes", self.name)
        if name.startswith("inputs."):
            short = name.removeprefix("inputs.")
            return "input_settings", replaced(self.input_settings, short, value, (*path, "inputs"), typed)
        return "settings", replaced(self.settings, name, value, path, typed)

    def meant(self, name: str, value: Any, typed: str | None = None) -> Any:
        """The value that a live setting takes from a request; nothing is changed. Raises ConfigError."""
        where, settings = self.checked(name, value, typed)
        return value_at(settings, name.removeprefix("inputs.") if where == "input_settings" else name)

    def change_unseen(self, name: str, value: Any) -> None:
        """As `change`, while no process is there that could refuse it: what held before is kept until one is."""
        before = self.settings, self.input_settings
        self.change(name, value)
        self.proven = self.proven or before

    def take_back(self) -> bool:
        """What was changed while no process was there is as it was before; True where anything was."""
        proven, self.proven = self.proven, None
        if proven is not None:
            self.settings, self.input_settings = proven
        return proven is not None

    def change(self, name: str, value: Any) -> None:
        """A live setting has another value now. Raises ConfigError."""
        setattr(self, *self.checked(name, value))

    @property
    def address(self) -> bytes:
        """Identity of the present process on the control socket."""
        return f"{self.name}.{self.incarnation}".encode()

    @property
    def start_s(self) -> float:
        """Longest time until it is ready: of the file, else of its kind."""
        spec = self.spec
        return spec.cls.start_s if spec.keys.start_s is None else spec.keys.start_s

    @property
    def healthy(self) -> bool:
        """Running long enough that earlier failures are forgotten."""
        return self.phase is Phase.RUNNING and time.monotonic() - self.started_s > HEALTHY_S

    def hurry(self, now_s: float) -> None:
        """One that is parked is tried at once."""
        if self.phase is Phase.FAILED and self.retry_s is not None:
            self.retry_s = now_s

    def backoff_s(self) -> float:
        """Time to wait before the next start."""
        return BACKOFF_S[min(self.failures, len(BACKOFF_S) - 1)]
