"""What a run leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.control.state import State
from audio_pipeline.graph.types import Graph
from audio_pipeline.report.document import write_report
from audio_pipeline.run.folder import recorded
from audio_pipeline.supervisor.supervisor import Supervisor


@dataclass(frozen=True)
class Result:
    """What a run that had started left behind."""

    state: State  # the last one
    folder: Path
    tracks: Sequence[Path]  # recordings, the mix first
    report: Path | None = None
    report_error: str = ""  # why there is no report although one was wanted


def result_of(supervisor: Supervisor, graph: Graph, *, report: bool) -> Result | None:
    """Recordings and report; None for a run that never started to play: its folder may hold an earlier take."""
    state = supervisor.final_state()
    if state is None or not state.meters.uptime_s:
        return None
    folder, tracks = recorded(graph, supervisor.folder, state.description.run)
    if not report:
        return Result(state, folder, tracks)
    try:
        return Result(state, folder, tracks, write_report(folder, state, tracks))
    except Exception as error:  # noqa: BLE001 - the recordings are whole, whatever fails about a picture of them
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        return Result(state, folder, tracks, report_error=reason or str(error))
