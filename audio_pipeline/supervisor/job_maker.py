"""Makes the job of a node's process, with everything its predecessor knew."""

from __future__ import annotations

from dataclasses import replace

from audio_pipeline.graph.job import Anchor, Job
from audio_pipeline.metrics import Reading
from audio_pipeline.setting_values import plain
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
        state, name = self._state, record.name
        job = replace(
            make_job(run, name, incarnation=record.incarnation, born=record.born),
            settings=plain(record.settings),
            input_settings=plain(record.input_settings),
            state=record.state,
            generations={source: each.generation for source, each in state.transports.items() if each.generation},
            schedule=tuple(record.schedule),
            joins=name in state.joining,
        )
        if name in state.transports and not state.live and state.duration_s is not None:
            job = replace(job, end_position=round(state.duration_s * state.rate))
        return self._resumed(job, record) if record.incarnation > record.born else job

    def _resumed(self, job: Job, record: NodeRecord) -> Job:
        job = replace(job, anchors=_anchors(record.dead[-1]) if record.dead else {})
        if record.name not in self._state.transports:
            return job
        place = self._playhead.place(record.name)
        return replace(job, place=place, state={**record.state, **plain(place)})


def _anchors(board: Reading) -> dict[str, Anchor]:
    found = board.under("anchor.")
    return {name: Anchor(int(value), int(board.get(f"anchor_generation.{name}", 0))) for name, value in found.items()}
