"""What happens in a pipeline, for whoever watches: events and log lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from audio_pipeline.supervisor.event_log import EventLog
from audio_pipeline.supervisor.incidents import clipped

LINE_CHARACTERS = 2_000  # of the log
LOG_LINES = 200


class EventStream:
    """Keeps the newest events and log lines, and passes each event to the listeners. `uptime_s` stamps them."""

    def __init__(self, uptime_s: Callable[[], float]) -> None:
        self.listeners: list[Callable[[dict[str, Any]], None]] = []  # called in the supervisor's thread
        self.log_lines: deque[str] = deque(maxlen=LOG_LINES)
        self.kept = EventLog()
        self._uptime_s = uptime_s

    def publish(self, event: dict[str, Any]) -> None:
        """Adds an event."""
        event = {"time_s": self._uptime_s(), **event}
        self.kept.add(event)
        for receive in self.listeners:
            receive(event)

    def log(self, message: str, **fields: Any) -> None:
        """Adds a line for people; `fields` (event, level, node, ...) are for programs that read logs."""
        message = clipped(message, LINE_CHARACTERS)
        self.log_lines.append(message)
        self.publish({"kind": "log", "message": message, **fields})
