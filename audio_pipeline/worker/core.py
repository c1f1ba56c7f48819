"""What the parts of a running node share: the node itself, its outputs, its generations, its scheduled settings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from audio_pipeline.control.notices import Applied, Notice
from audio_pipeline.errors import PipelineError
from audio_pipeline.graph.job import Job, ScheduledSetting
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node
from audio_pipeline.settings import replaced
from audio_pipeline.worker.context import RunnerContext
from audio_pipeline.worker.graph_clock import GraphClock
from audio_pipeline.worker.outputs import Outputs
from audio_pipeline.worker.turn_meter import TurnMeter


class Core:
    """The node with everything it sends through. `notify` sends a message to the supervisor."""

    def __init__(
        self,
        job: Job,
        node: Node,
        ctx: RunnerContext,
        clock: GraphClock,
        board: Board,
        outputs: Outputs,
        generations: dict[str, int],
        notify: Callable[[Notice], None],
    ) -> None:
        self.job, self.node, self.ctx, self.clock, self.board, self.notify = job, node, ctx, clock, board, notify
        self.outputs, self.generations, self.meter = outputs, generations, TurnMeter(board)
        self.ended = self.flushed = False
        self.scheduled = deque(sorted(job.schedule, key=_position))

    # -- settings that change at a position ---------------------------------------------------------

    def schedule(self, setting: ScheduledSetting) -> None:
        """A setting that changes when the node gets to its position."""
        self.scheduled = deque(sorted([*self.scheduled, setting], key=_position))

    def until_change(self, position: int, samples: int) -> int:
        """Samples from `position` on before a scheduled setting changes, at most `samples`."""
        ahead = (setting.at for setting in self.scheduled if position < setting.at < position + samples)
        return next(ahead, position + samples) - position

    def reached(self, position: int) -> None:
        """Applies what is due."""
        while self.scheduled and self.scheduled[0].at <= position:
            setting = self.scheduled.popleft()
            try:
                self.apply_at(setting, position)
            except PipelineError as error:
                self.ctx.log(f"{setting.name} stays as it was at position {setting.at}: {error}")

    def apply_at(self, setting: ScheduledSetting, position: int) -> None:
        """One that waited for its position, reported: a successor must not wait for it again, refused or not."""
        ok = False
        try:
            self.apply(setting.name, setting.value, position)
            ok = True
        finally:
            self.notify(Applied(setting.at, setting.name, setting.value, ok))

    def apply(self, name: str, value: Any, position: int) -> None:
        """Changes a live setting now; where the node refuses it, by any error, it is as it was."""
        before = self.node.settings, self.node.input_settings
        try:
            if name.startswith("inputs."):
                inputs = replaced(self.node.input_settings, name.removeprefix("inputs."), value, ("inputs",))
                self.node.input_settings = inputs
            else:
                self.node.settings = replaced(self.node.settings, name, value)
            self.node.on_param(name, value, position, self.ctx)
        except Exception:
            self.node.settings, self.node.input_settings = before
            raise

    # -- the end --------------------------------------------------------------------------------------

    def end(self) -> None:
        """Flushes the node, and sends END once it has no work left; asked again in each turn until then."""
        if not self.flushed:
            self.node.flush(self.ctx)
            self.flushed = True
        if not self.node.busy:
            self.finish()

    def finish(self) -> None:
        """Sends END everywhere: nothing comes after it."""
        self.outputs.send_end()
        self.ended = True

    def close(self) -> None:
        self.outputs.close()
        self.node.close()


def _position(setting: ScheduledSetting) -> int:
    return setting.at
