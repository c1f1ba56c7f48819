"""Structured logs: what a pipeline says and what happens in it, one JSON object or one line of text each."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

from audio_pipeline.control.events import ERROR, INFO, Event, IncidentEvent, LogEvent
from audio_pipeline.errors import PipelineError
from audio_pipeline.terminal import FALLBACK, json_text, plain, printable, warn, write

QUIET = ("level",)  # events that come ten times a second
SECRET = "[secret]"
ORDER = ("time", "level", "pipeline", "run", "node", "event", "message")
Entry = dict[str, object]


class Journal:
    """Writes events as they are published; from any thread. A disk that is full silences it and is said once."""

    def __init__(
        self,
        out: TextIO,
        form: str,
        *,
        pipeline: str,
        run: str,
        secrets: tuple[str, ...] = (),
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> None:
        self._out, self._form, self._now = out, form, now
        self._common = {"pipeline": pipeline, "run": run}
        self._secrets = [secret for secret in secrets if secret]
        self._lock = threading.Lock()
        self._broken = False

    def __call__(self, event: Event) -> None:
        """Takes an event; called in whatever thread it is published."""
        if event.kind in QUIET:
            return
        entry = entry_of(event, self._now(), self._common)
        line = json_text(plain(entry), self._out) if self._form == "json" else text_of(entry)
        for secret in self._secrets:
            line = line.replace(secret, SECRET)
        self._write(line)

    def _write(self, line: str) -> None:
        with self._lock:
            if self._broken:
                return
            try:
                coding = getattr(self._out, "encoding", None) or "utf-8"
                write(printable(line).encode(coding, FALLBACK).decode(coding), out=self._out)
            except (OSError, ValueError) as error:
                self._broken = True
                warn(f"audio-pipeline: the log ends here: {error}")


def entry_of(event: Event, now: datetime, common: Mapping[str, str]) -> Entry:
    """An event as a log entry: when, how grave, which node, what; then whatever else it says."""
    facts, line = facts_of(event), event if isinstance(event, LogEvent) else None
    known = {
        "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": line.level if line else ERROR if isinstance(event, IncidentEvent) else INFO,
        **common,
        "node": facts.get("node"),
        "event": line.event if line and line.event else event.kind,
        "message": facts.get("message"),
    }
    entry = {key: known[key] for key in ORDER if known[key] is not None}
    return {**entry, **{key: value for key, value in facts.items() if key not in (*known, "kind")}}


def facts_of(event: Event) -> Entry:
    """What an event says, flat: with what an incident holds, or what belongs to a node's event."""
    facts = {key: value for key, value in asdict(event).items() if value is not None}
    inner = facts.pop("incident", None) or facts.pop("data", None) or {}
    return {**inner, **facts}


def text_of(entry: Entry) -> str:
    """One line for people; further fields as key=value.

    >>> text_of({"time": "12:00Z", "level": "info", "node": "mix", "event": "back", "message": "mix is back", "pid": 7})
    '12:00Z INFO  mix back: mix is back pid=7'
    """
    rest = [f"{key}={_token(value)}" for key, value in entry.items() if key not in ORDER]
    message = f": {_one_line(entry['message'])}" if "message" in entry else ""
    who = f"{entry['node']} " if "node" in entry else ""
    return " ".join([f"{entry['time']} {str(entry['level']).upper():5} {who}{entry['event']}{message}", *rest])


def _token(value: object) -> str:
    return value if isinstance(value, str) and value.isalnum() else json.dumps(plain(value), ensure_ascii=False)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def open_log(path: Path) -> TextIO:
    """A file to append to, for its owner alone. Raises PipelineError."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(number, "a", encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"--log-file {str(path)!r} cannot be written: {error.strerror}") from error
