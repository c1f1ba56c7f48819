"""What is noted when something dies: for the report, for whoever watches, and for logs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from audio_pipeline.control.events import ERROR, IncidentEvent, LogEvent
from audio_pipeline.control.incident import Incident, LinkFlow
from audio_pipeline.setting_values import plain
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.incidents import Incidents
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.parking import PARKED_S
from audio_pipeline.supervisor.records import NodeRecord, Phase, Process
from audio_pipeline.supervisor.shortage import Steps

Ledger = Callable[[str], list[LinkFlow]]  # of a node's links


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
        incident = Incident(
            self._life.uptime_s,
            record.name,
            pid,
            record.incarnation,
            cause,
            tuple(with_it),
            tuple(child.last_lines()) if child is not None else (),
            tuple(self._ledger_of(record.name)),
            {**plain(record.settings), "inputs": plain(record.input_settings)},
        )
        self._incidents.add(incident)
        self._events.add_line(
            LogEvent(
                message=sentence,
                event="died",
                level=ERROR,
                node=record.name,
                cause=cause,
                pid=pid,
                incarnation=record.incarnation,
            )
        )
        self._events.publish(IncidentEvent(message=sentence, incident=incident))

    def _ledger_of(self, name: str) -> list[LinkFlow]:
        """Nothing where the boards cannot be read now."""
        found: list[LinkFlow] = []
        self._steps.attempt(f"the ledger of {name}", lambda: found.extend(self._ledger(name)))
        return found


def note_shortage(life: Lifecycle, events: EventStream, incidents: Incidents, step: str, reason: str) -> None:
    """The supervisor itself has too little of something; it tries again with the next turn."""
    sentence = f"{step}: {reason}; it is tried again"
    events.add_line(LogEvent(message=sentence, event="shortage", level=ERROR, step=step, cause=reason))
    incidents.add(Incident(life.uptime_s, "supervisor", os.getpid(), 0, sentence))
