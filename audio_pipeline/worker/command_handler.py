"""Carries out what the supervisor sends to a node while it runs: start, set, cancel, transport, finish."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import zmq

from audio_pipeline.control.codec import MALFORMED
from audio_pipeline.control.notices import Log, Reply
from audio_pipeline.errors import PipelineError
from audio_pipeline.graph.job import ScheduledSetting
from audio_pipeline.settings import build
from audio_pipeline.worker import commands
from audio_pipeline.worker.commands import Answer, Command, Position, Result
from audio_pipeline.worker.core import Core
from audio_pipeline.worker.inputs import Inputs
from audio_pipeline.worker.intake import Intake
from audio_pipeline.worker.pacer import Pacer

FROM_CLIENTS = (commands.Set, commands.Transport, commands.Event)  # mistakes in them are answered, and end no node


class CommandHandler:
    """Takes commands from the inbox, which the control thread fills, one after the other, between two frames."""

    def __init__(self, core: Core, links: Inputs, intake: Intake, pacer: Pacer, inbox: deque[Command]) -> None:
        self._core, self._links, self._intake, self._pacer, self._inbox = core, links, intake, pacer, inbox
        self._job, self._node, self._ctx = core.job, core.node, core.ctx
        self._clock, self._outputs, self._notify = core.clock, core.outputs, core.notify
        self.started = False
        self._rewiring: list[commands.Rewire] = []  # those that are being carried out
        self._handlers: Mapping[type[Command], Callable[[Any], Answer | None]] = {
            commands.Start: self._start,
            commands.Set: self._set,
            commands.Cancel: self._cancel,
            commands.Transport: self._transport,
            commands.Absent: lambda command: self._mark_absent(command.node),
            commands.Present: self._present,
            commands.Finish: self._finish,
            commands.Expect: lambda command: self._outputs.expect(command.outputs),
            commands.Lead: lambda command: self._pacer.lead(command.lead_ms),
            commands.Rewire: self._rewire,
            commands.Retire: self._retire,
            commands.Event: self._event,
            commands.Bind: self._bind,
        }

    def handle_all(self) -> bool:
        """Does what is asked; True if anything was."""
        moved = bool(self._inbox)
        while self._inbox:
            command = self._inbox.popleft()
            reply = self._reply(command)
            if command.id is not None and not (reply.ok and isinstance(command, commands.Rewire)):
                self._notify(reply)
        return moved

    def _reply(self, command: Command) -> Reply:
        number = 0 if command.id is None else command.id
        try:
            return Reply(number, ok=True, result=self._handlers[type(command)](command))
        except PipelineError as error:
            return Reply(number, error=str(error))
        except NotImplementedError:
            name = getattr(command, "command", None)
            return Reply(number, error=f"{self._job.name} ({self._job.kind}) has no command {name!r}")
        except MALFORMED as error:
            if not isinstance(command, FROM_CLIENTS):
                raise
            op = commands.row_of(command).op
            return Reply(number, error=f"{self._job.name}: {op}: {type(error).__name__}: {error}"[:500])

    def _start(self, command: commands.Start) -> None:
        self._links.adopt(command.inputs)
        self._outputs.adopt(command.outputs)
        for node in command.absent:
            self._mark_absent(node)
        self._pacer.start(command.lead_ms)
        self.started = True

    def _bind(self, command: commands.Bind) -> None:
        """The files of its sockets were removed."""
        for out in [out for out in self._outputs if out.name in command.ports]:
            try:
                out.port.bind_again()
            except zmq.ZMQError as error:
                self._notify(Log(f"{out.port.spec.endpoint} cannot be bound again: {error}"))

    def _mark_absent(self, node: str) -> None:
        """An optional node is not there: nothing comes from it, and nobody waits for it to take anything."""
        self._intake.mark_absent(node)
        for out in self._outputs:
            out.port.dismiss(node)

    def _present(self, command: commands.Present) -> None:
        """One that was absent takes and gives again."""
        self._intake.mark_present(command.node)
        for out in self._outputs:
            out.port.admit(command.node)

    def _finish(self, command: commands.Finish) -> None:
        """A clean stop: whoever makes sound ends it now, and the end travels through the graph."""
        if self.started and not self._core.ended and (self._pacer.source is not None or not self._intake.inputs):
            self._core.end()

    # -- links that change ----------------------------------------------------------------------------

    def _rewire(self, command: commands.Rewire) -> None:
        """Other links while it runs: what comes is there before the node hears of it, what goes stays until after."""
        self._outputs.rewire(command.outputs)
        self._set_inputs({**self._node.input_settings, **self._settings(command)})
        self._links.rewire(command.inputs, self._clock.now_ns())
        for node in command.absent:
            self._mark_absent(node)
        self._pacer.lead(command.lead_ms)
        self._rewiring.append(command)

    def _settings(self, command: commands.Rewire) -> dict[str, Any]:
        where, cls = ("nodes", self._job.name, "inputs"), self._node.InputSettings
        return {name: build(cls, raw, (*where, name)) for name, raw in command.input_settings.items()}

    def _set_inputs(self, settings: dict[str, Any]) -> None:
        if settings != self._node.input_settings:
            self._node.input_settings = settings
            self._node.on_inputs(self._ctx)

    def advance(self) -> bool:
        """Carries changes of links on; answers when they are through."""
        if not (self._rewiring or self._links.changing):
            return False
        moved = self._intake.turn(self._pacer.output_position)
        if self._rewiring and not self._links.changing:
            self._set_inputs(self._settings(self._rewiring[-1]))
            self._outputs.prune([out.port for out in self._rewiring[-1].outputs])
            position = Position(self._pacer.output_position)
            for command in self._rewiring:
                if command.id is not None:
                    self._notify(Reply(command.id, ok=True, result=position))
            self._rewiring = []
        return moved

    def _retire(self, command: commands.Retire) -> None:
        """The node is taken out of the graph: nobody listens any more, and what it has is finished."""
        self._outputs.rewire([])
        if not self._core.ended:
            self._core.end()
        self._links.retire(self._clock.now_ns())

    # -- from clients ---------------------------------------------------------------------------------

    def _set(self, command: commands.Set) -> Position:
        position, at, name = self._pacer.output_position, command.at, command.name
        if at is None:
            self._core.apply(name, command.value, position)
            return Position(position)
        setting = ScheduledSetting(at, name, command.value)
        if at > position:
            self._core.schedule(setting)
        else:
            self._core.apply_at(setting, position)
        return Position(max(at, position))

    def _event(self, command: commands.Event) -> Position:
        """An event from outside."""
        position = self._pacer.output_position
        self._node.on_event(command.port, command.event, position, self._ctx)
        return Position(position)

    def _cancel(self, command: commands.Cancel) -> None:
        self._intake.enter_generation(command.timeline, command.generation)

    def _transport(self, command: commands.Transport) -> Result:
        """play, pause and what the source itself knows; a new generation where old sound must not be heard."""
        source, ctx = self._pacer.source, self._ctx
        if source is None:
            raise NotImplementedError
        if command.generation is not None:  # first, so that what the node says of its new place belongs to the new one
            self._intake.enter_generation(self._job.name, command.generation)
        result = self._on_command(command)
        if command.generation is not None:
            self._pacer.advance()
            source.playing = command.playing
            if source.playing:
                source.play(ctx.position_at(self._clock.now_ns()))
        return Result(result)

    def _on_command(self, command: commands.Transport) -> Any:
        """What the node itself has to do; to pause it is sought to what was heard last."""
        if command.command not in ("play", "pause"):
            return self._node.on_command(command.command, command.args, self._ctx)
        if command.args:
            self._node.on_command("seek", command.args, self._ctx)
        return None
