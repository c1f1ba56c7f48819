"""What happens in a pipeline, for whoever watches: events and log lines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from audio_pipeline.control.events import INFO, Event, LogEvent
from audio_pipeline.supervisor.event_log import EventLog
from audio_pipeline.supervisor.incidents import clipped

LINE_CHARACTERS = 2_000  # of the log
LOG_LINES = 200


class EventStream:
    """Keeps the newest events and log lines, and passes each event to the listeners. `uptime_s` stamps them."""

    def __init__(self, uptime_s: Callable[[], float]) -> None:
        self.listeners: list[Callable[[Event], None]] = []  # called in the supervisor's thread
        self.log_lines: deque[str] = deque(maxlen=LOG_LINES)
        self.kept = EventLog()
        self._uptime_s = uptime_s

    def publish(self, event: Event) -> None:
        """Adds an event, with the time."""
        event = replace(event, time_s=self._uptime_s())
        self.kept.add(event)
        for receive in self.listeners:
            receive(event)

    def log(
        self,
        message: str,
        event: str = "",
        *,
        level: str = INFO,
        node: str | None = None,
        cause: str | None = None,
        incarnation: int | None = None,
    ) -> None:
        """Adds a line for people; the rest is for programs that read logs."""
        self.add_line(
            LogEvent(message=message, event=event, level=level, node=node, cause=cause, incarnation=incarnation)
        )

    def add_line(self, line: LogEvent) -> None:
        """As `log`, with all that a line can have."""
        line = replace(line, message=clipped(line.message, LINE_CHARACTERS))
        self.log_lines.append(line.message)
        self.publish(line)
