"""Gives nodes processes, and takes notice of those that end."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.jobs import Run
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.process import WorkerPool
from audio_pipeline.supervisor.records import NodeRecord, Process
from audio_pipeline.supervisor.worker_spec import modules, worker_specs


class Launcher:
    """In the thread that lives as long as the pipeline, since processes die with the one that started them.

    `wake` is called from another thread when a process has ended.
    """

    def __init__(self, state: PipelineState, jobs: JobMaker, pool: WorkerPool, wake: Callable[[], None]) -> None:
        self._state, self._jobs, self._pool, self._wake = state, jobs, pool, wake
        self._exits: deque[tuple[Process, int]] = deque()

    def launch(self, records: Sequence[NodeRecord], run: Run) -> None:
        """Gives a process the jobs of its nodes. A pool learns what a changed graph needs from the first that joins.

        Raises what the system or a job refuses; then there is no process, and the records are as they were.
        """
        if run.plan.graph is not self._state.graph:
            self._pool.learn(worker_specs(run.plan.graph))
        run.add_clocks()
        jobs = [self._jobs.job(record, run) for record in records]
        child = self._pool.take(records[0].spec.keys.python, modules(record.spec for record in records))
        child.give(jobs, lambda code: self._on_exit(child, code))
        for record in records:
            record.ready, record.retry_s, record.failure = False, None, None
            record.started_s, record.child, record.busy_ns = time.monotonic(), child, 0.0
            record.revision = self._state.graph_revision

    def _on_exit(self, child: Process, code: int) -> None:
        self._exits.append((child, code))
        self._wake()

    def exits(self) -> Iterator[tuple[Process, int]]:
        """Processes that have ended since the last call, and their exit codes."""
        while self._exits:
            yield self._exits.popleft()

    def prepare(self, now_s: float) -> str:
        """Has a process ready for each interpreter; gives what the system refused, or an empty string."""
        return self._pool.prepare(now_s)

    @property
    def pids(self) -> frozenset[int]:
        """Processes whose end is waited for."""
        return self._pool.pids

    @property
    def logs(self) -> list[Path]:
        """What the processes print into."""
        return self._pool.logs

    def close(self) -> None:
        """Ends the processes that wait for a job."""
        self._pool.close()
