"""A voice that is told what to say while it plays: the speak pipeline with what its events say of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from audio_pipeline.control.events import NodeEvent
from tests.proofs.live import Pipeline, running

PATIENCE_S = 30.0
SETS = ('nodes.speaker.device="null"', "nodes.voice.text=")


@dataclass
class Teller:
    """Somebody who writes text for a voice."""

    pipeline: Pipeline
    events: list[NodeEvent] = field(default_factory=list)
    asked_s: float = 0.0

    def write(self, text: str, *, end: bool = False) -> None:
        """More of the text."""
        self.pipeline.client.send("voice", "text", "text", text=f"{text} ", end=end)

    def cancel(self) -> float:
        """Stops the voice; the position of the voice from which on nothing may be heard."""
        answer = self.pipeline.client.transport("voice", "cancel")
        return float(answer.heard_in_ms or 0.0)

    def received(self) -> list[NodeEvent]:
        """All events of nodes so far."""
        found = self.pipeline.client.events()
        self.events += [event for event in found if isinstance(event, NodeEvent)]
        return self.events

    def until(self, kind: str, count: int = 1) -> list[NodeEvent]:
        """Events of this kind, once there are so many."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            found = [event for event in self.received() if event.kind == kind]
            if len(found) >= count:
                return found
            time.sleep(0.02)
        there = [event.kind for event in self.events]
        raise AssertionError(f"not {count} {kind} within {PATIENCE_S:g} s; there were {there}")

    def clauses(self) -> str:
        """The words that were heard, in order."""
        return " ".join(event.data["text"] for event in self.received() if event.kind == "clause")


@contextmanager
def telling(folder: Path) -> Iterator[Teller]:
    """The speak pipeline, silent until it is told something."""
    with running("speak", folder, SETS) as pipeline:
        yield Teller(pipeline)
