"""What a node is told from outside while it runs: start, set, cancel, transport, finish."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import zmq

from audio_pipeline.control.codec import MALFORMED
from audio_pipeline.errors import PipelineError
from audio_pipeline.graph.job import OutJob
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.settings import build
from audio_pipeline.worker.core import Core
from audio_pipeline.worker.intake import Intake
from audio_pipeline.worker.pacer import Pacer

FROM_CLIENTS = ("set", "transport", "event")  # whose mistakes are answered; they do not end the node


class CommandHandler:
    """Takes commands from the inbox, one after the other, between two frames."""

    def __init__(self, core: Core, intake: Intake, pacer: Pacer) -> None:
        self.core, self.intake, self.pacer = core, intake, pacer
        self.inbox: deque[dict[str, Any]] = deque()  # filled by the control thread
        self.started = False
        self._rewiring: list[tuple[int, dict[str, Any]]] = []  # orders that are being carried out, and whom to answer
        self._handlers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "start": self._start,
            "set": self._set,
            "cancel": self._cancel,
            "transport": self._transport,
            "absent": self._absent,
            "present": self._present,
            "finish": self._finish,
            "expect": self._expect,
            "lead": self._lead,
            "rewire": self._rewire,
            "retire": self._retire,
            "event": self._event,
            "bind": self._bind,
        }

    def handle_all(self) -> bool:
        """Does what is asked; True if anything was."""
        moved = bool(self.inbox)
        while self.inbox:
            command = self.inbox.popleft()
            answer = self._answer(command)
            if "id" in command and command["op"] != "rewire":
                self.core.notify({"op": "reply", "id": command["id"], **answer})
        return moved

    def _answer(self, command: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": True, "result": self._handlers[command["op"]](command)}
        except NotImplementedError:
            job = self.core.job
            return {"ok": False, "error": f"{job.name} ({job.kind}) does not know {command.get('command')!r}"}
        except PipelineError as error:
            return {"ok": False, "error": str(error)}
        except MALFORMED as error:
            if command["op"] not in FROM_CLIENTS:
                raise
            said = f"{self.core.job.name}: {command['op']}: {type(error).__name__}: {error}"
            return {"ok": False, "error": said[:500]}

    def _start(self, command: Mapping[str, Any]) -> None:
        self.intake.all.adopt(LinkPlan.of(raw) for raw in command["inputs"])
        self.core.outputs.adopt(command["outputs"])
        for node in command["absent"]:
            self._absent({"node": node})
        self.pacer.start(command["lead_ms"])
        self.started = True

    def _bind(self, command: Mapping[str, Any]) -> None:
        """The files of its sockets were removed."""
        for out in [out for out in self.core.outputs if out.port.spec.port in command["ports"]]:
            try:
                out.port.bind_again()
            except zmq.ZMQError as error:
                self.core.notify({"op": "log", "message": f"{out.port.spec.endpoint} cannot be bound again: {error}"})

    def _absent(self, command: Mapping[str, Any]) -> None:
        """An optional node is not there: nothing comes from it, and nobody waits for it to take anything."""
        self.intake.mark_absent(command["node"])
        for out in self.core.outputs:
            out.port.dismiss(command["node"])

    def _present(self, command: Mapping[str, Any]) -> None:
        """One that was absent takes and gives again."""
        self.intake.mark_present(command["node"])
        for out in self.core.outputs:
            out.port.admit(command["node"])

    def _finish(self, command: Mapping[str, Any]) -> None:
        """A clean stop: whoever makes sound ends it now, and the end travels through the graph."""
        if self.started and not self.core.ended and (self.pacer.source is not None or not self.intake.inputs):
            self.core.end()

    def _expect(self, command: Mapping[str, Any]) -> None:
        """Somebody will listen soon."""
        self.core.outputs.expect([OutJob(**raw) for raw in command["outputs"]])

    def _rewire(self, command: Mapping[str, Any]) -> None:
        """Other links while it runs: what comes is there before the node hears of it, what goes stays until after."""
        inputs = [LinkPlan.of(raw) for raw in command["inputs"]]
        self.core.outputs.rewire([OutJob(**raw) for raw in command["outputs"]])
        self._set_inputs({**self.core.node.input_settings, **self._settings(command)})
        self.intake.all.rewire(inputs, self.core.clock.now_ns())
        for node in command["absent"]:
            self._absent({"node": node})
        self.pacer.lead(command["lead_ms"])
        self._rewiring.append((command["id"], dict(command)))

    def _lead(self, command: Mapping[str, Any]) -> None:
        self.pacer.lead(command["lead_ms"])

    def _settings(self, command: Mapping[str, Any]) -> dict[str, Any]:
        node = self.core.node
        where = ("nodes", self.core.job.name, "inputs")
        return {name: build(node.InputSettings, raw, (*where, name)) for name, raw in command["input_settings"].items()}

    def _set_inputs(self, settings: dict[str, Any]) -> None:
        if settings != self.core.node.input_settings:
            self.core.node.input_settings = settings
            self.core.node.on_inputs(self.core.ctx)

    def advance(self) -> bool:
        """Carries changes of links on; answers when they are through."""
        if not (self._rewiring or self.intake.all.changing):
            return False
        moved = self.intake.turn(self.pacer.output_position)
        if self._rewiring and not self.intake.all.changing:
            self._set_inputs(self._settings(self._rewiring[-1][1]))
            self.core.outputs.prune([out["port"] for out in self._rewiring[-1][1]["outputs"]])
            for number, _ in self._rewiring:
                answer = {"op": "reply", "id": number, "ok": True, "result": {"position": self.pacer.output_position}}
                self.core.notify(answer)
            self._rewiring = []
        return moved

    def _retire(self, command: Mapping[str, Any]) -> None:
        """The node is taken out of the graph: nobody listens any more, and what it has is finished."""
        self.core.outputs.rewire([])
        if not self.core.ended:
            self.core.end()
        self.intake.all.retire(self.core.clock.now_ns())

    def _set(self, command: Mapping[str, Any]) -> dict[str, Any]:
        position, at = self.pacer.output_position, command.get("at")
        if at is not None and at > position:
            self.core.schedule(at, command["name"], command["value"])
            return {"position": at}
        if at is None:
            self.core.apply(command["name"], command["value"], position)
        else:
            self.core.apply_at(at, command["name"], command["value"], position)
        return {"position": position}

    def _event(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """An event from outside."""
        position = self.pacer.output_position
        self.core.node.on_event(command["port"], command["event"], position, self.core.ctx)
        return {"position": position}

    def _cancel(self, command: Mapping[str, Any]) -> None:
        self.intake.enter_generation(command["timeline"], command["generation"])

    def _transport(self, command: Mapping[str, Any]) -> Any:
        """play, pause and what the source itself knows; a new generation where old sound must not be heard."""
        source, node, ctx = self.pacer.source, self.core.node, self.core.ctx
        if source is None:
            raise NotImplementedError
        name, args, result = command["command"], command.get("args") or {}, None
        if "generation" in command:  # first, so that what the node says of its new place belongs to the new one
            self.intake.enter_generation(self.core.job.name, command["generation"])
        if name not in ("play", "pause"):
            result = node.on_command(name, args, ctx)
        elif args:
            node.on_command("seek", args, ctx)
        if "generation" in command:
            self.pacer.advance()
            source.playing = command.get("playing", True)
            if source.playing:
                source.play(ctx.position_at(self.core.clock.now_ns()))
        return {"result": result}
