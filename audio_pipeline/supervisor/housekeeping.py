"""What a pipeline needs beside its nodes: files that stay, logs that do not grow, no dead orphans, helpers that live,
and socket files that come back.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from audio_pipeline.host.keeper import Keeper
from audio_pipeline.host.log_ring import trim
from audio_pipeline.host.parent import adopts_orphans
from audio_pipeline.host.processes import reap
from audio_pipeline.host.runtime import RunDir
from audio_pipeline.refs import PortRef
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.helper import Helper
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import Phase
from audio_pipeline.supervisor.shortage import Steps, reason_of

REAP_S = 1.0
BIND_S = 5.0  # a node that is asked to bind again is not asked sooner once more


BindAgain = Callable[[str, list[str]], None]  # (node, ports whose socket files were removed)


class Processes(Protocol):
    """The worker processes of a pipeline."""

    @property
    def pids(self) -> frozenset[int]:
        """Those whose end is waited for."""

    @property
    def logs(self) -> list[Path]:
        """What they print into."""


class Housekeeping:
    """Lives in the supervisor's thread."""

    def __init__(
        self,
        state: PipelineState,
        events: EventStream,
        steps: Steps,
        run_dir: RunDir,
        keeper: Keeper,
        helpers: Sequence[Helper],
        processes: Processes,
        bind_again: BindAgain,
    ) -> None:
        self._state, self._events, self._steps, self._run_dir = state, events, steps, run_dir
        self._helpers, self._processes, self._bind_again = helpers, processes, bind_again
        self._keeper = keeper
        self._next_reap_s = 0.0
        self._asked_s: dict[str, float] = {}  # nodes that were asked to bind again, and when

    def turn(self, now_s: float) -> None:
        for line in self._keeper.turn(now_s, frozenset(self._wanted())):
            self._events.log(line, event="folder", level="warning")
        for path in self._logs():
            trim(path)
        for helper in self._helpers:
            self._turn_helper(helper, now_s)
        if now_s >= self._next_reap_s:
            self._next_reap_s = now_s + REAP_S
            if adopts_orphans():
                reap(self._processes.pids)
            self._check_sockets(now_s)

    def _turn_helper(self, helper: Helper, now_s: float) -> None:
        try:
            helper.turn(now_s, self._run_dir.path, self._note_helper)
        except OSError as error:  # a process or its log is not to be had now: the next try comes
            self._steps.note(f"the process for {helper.name}", reason_of(error))

    def _check_sockets(self, now_s: float) -> None:
        """Who plays and whose sockets have lost their files binds those again: who comes later must find them."""
        self._asked_s = {name: asked_s for name, asked_s in self._asked_s.items() if now_s - asked_s < BIND_S}
        for record in self._state.playing:
            if record.phase is Phase.RUNNING and record.ready and record.name not in self._asked_s:
                ports = [port for port in record.spec.all_outputs if self._is_lost(PortRef(record.name, port))]
                if ports:
                    self._asked_s[record.name] = now_s
                    self._bind_again(record.name, ports)

    def _is_lost(self, port: PortRef) -> bool:
        return not os.path.lexists(self._state.run.endpoint(port).removeprefix("ipc://"))

    def _note_helper(self, line: str) -> None:
        self._events.log(line, event="helper", level="warning")

    def _wanted(self) -> Iterator[Path]:
        """Files that somebody may open later."""
        run = self._state.run
        yield from run.clocks
        for record in self._state.records():
            yield self._state.board_path(record)
        yield from self._logs()

    def _logs(self) -> list[Path]:
        folder = self._run_dir.path
        return [*self._processes.logs, *(folder / f"{helper.name}.log" for helper in self._helpers)]

    def close(self) -> None:
        self._keeper.close()
        for helper in self._helpers:
            helper.close()
