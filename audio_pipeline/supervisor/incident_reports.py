"""What is noted when something dies: for the report, for whoever watches, and for logs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from audio_pipeline.settings import plain
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.incidents import Incidents
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.parking import PARKED_S
from audio_pipeline.supervisor.records import NodeRecord, Phase, Process
from audio_pipeline.supervisor.shortage import Steps

Ledger = Callable[[str], list[dict[str, Any]]]  # of a node's links


class IncidentReports:
    """Adds to the incidents and to the event stream."""

    def __init__(
        self, life: Lifecycle, events: EventStream, incidents: Incidents, steps: Steps, ledger: Ledger
    ) -> None:
        self._life, self._events, self._incidents, self._steps, self._ledger = life, events, incidents, steps, ledger

    def note_death(self, record: NodeRecord, child: Process | None, cause: str, with_it: Sequence[str]) -> None:
        """What died and how, who died with it, and what became of its frames. `child` None: it had no process."""
        shared = f", and with it {', '.join(with_it)}" if with_it else ""
        again = f", tried again in {PARKED_S:g} s" if record.phase is Phase.FAILED else ", restarting"
        sentence = f"{record.name} died ({cause}){shared}{again}"
        pid = child.pid if child is not None else None
        facts = {"node": record.name, "pid": pid, "incarnation": record.incarnation, "cause": cause}
        incident = {
            "time_s": self._life.uptime_s,
            **facts,
            "with": list(with_it),
            "log": child.last_lines() if child is not None else [],
            "ledger": self._ledger_of(record.name),
            "settings": {**plain(record.settings), "inputs": plain(record.input_settings)},
        }
        self._incidents.add(incident)
        self._events.log(sentence, event="died", level="error", **facts)
        self._events.publish({"kind": "incident", "message": sentence, **incident})

    def _ledger_of(self, name: str) -> list[dict[str, Any]]:
        """Nothing where the boards cannot be read now."""
        found: list[dict[str, Any]] = []
        self._steps.attempt(f"the ledger of {name}", lambda: found.extend(self._ledger(name)))
        return found


def note_shortage(life: Lifecycle, events: EventStream, incidents: Incidents, step: str, reason: str) -> None:
    """The supervisor itself has too little of something; it tries again with the next turn."""
    sentence = f"{step}: {reason}; it is tried again"
    events.log(sentence, event="shortage", level="error", step=step, cause=reason)
    incidents.add(
        {
            "time_s": life.uptime_s,
            "node": "supervisor",
            "pid": os.getpid(),
            "incarnation": 0,
            "cause": sentence,
            "with": [],
            "log": [],
            "ledger": [],
            "settings": {},
        }
    )
