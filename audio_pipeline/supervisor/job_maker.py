"""Makes the job of a node's process, with everything its predecessor knew."""

from __future__ import annotations

from typing import Any

from audio_pipeline.graph.job import Job
from audio_pipeline.metrics import Reading
from audio_pipeline.supervisor.jobs import Run, make_job
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.records import NodeRecord


class JobMaker:
    """A restarted node gets its settings as changed live, its snapshot, generations, anchors and place in the song."""

    def __init__(self, state: PipelineState, playhead: Playhead) -> None:
        self._state, self._playhead = state, playhead

    def job(self, record: NodeRecord, run: Run) -> Job:
        """`run` is the present one, or the one of a graph that is about to replace it."""
        return make_job(run, record.name, incarnation=record.incarnation, born=record.born, **self.wanted(record))

    def wanted(self, record: NodeRecord) -> dict[str, Any]:
        """What the process must know beside its place in the graph."""
        transports = self._state.transports
        wanted: dict[str, Any] = {
            "settings": record.settings,
            "input_settings": record.input_settings,
            "state": record.state,
            "generations": {name: each.generation for name, each in transports.items() if each.generation},
            "schedule": record.schedule,
            "joins": record.name in self._state.joining,
        }
        duration_s = self._state.duration_s
        if record.name in transports and not self._state.live and duration_s is not None:
            wanted["end_position"] = round(duration_s * self._state.rate)
        if record.incarnation > record.born:
            wanted["anchors"] = _anchors(record.dead[-1]) if record.dead else {}
            if record.name in transports:
                wanted["transport"] = self._playhead.resume_state(record.name)
                wanted["state"] = {**record.state, **wanted["transport"]}
        return wanted


def _anchors(board: Reading) -> dict[str, list[int]]:
    found = board.under("anchor.")
    return {name: [int(value), int(board.get(f"anchor_generation.{name}", 0))] for name, value in found.items()}
