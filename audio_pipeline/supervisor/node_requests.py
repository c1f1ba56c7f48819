"""Requests that a node has to carry out: live settings, events, transport. The reply waits for the node's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from audio_pipeline.control import notices
from audio_pipeline.control.numbers import seconds, switch
from audio_pipeline.control.replies import SendReply, SetReply, TransportReply
from audio_pipeline.control.requests import SendRequest, SetRequest, TransportRequest
from audio_pipeline.errors import ControlError, nearest
from audio_pipeline.frame_codec import pack_event
from audio_pipeline.graph.job import ScheduledSetting
from audio_pipeline.supervisor.callers import Caller
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Send
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.transport import Transport
from audio_pipeline.worker import commands
from audio_pipeline.worker.commands import Command, Position, Result

MOST_PENDING = 1_000
MOST_SCHEDULED = 1_000  # settings of a node that wait for their position
R = TypeVar("R", SetReply, SendReply, TransportReply)


@dataclass(frozen=True)
class Inquiry(Generic[R]):
    """What a node is asked to do, and what follows from its reply."""

    command: Command
    make: Callable[[Any, float | None, str], R]  # (node's answer, stated latency to the sinks, note)
    taken: Callable[[bool], None] = lambda seen: None  # True: the node has done it; False: it is down
    refused: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Pending:
    """A request that waits for a node's reply."""

    caller: Caller
    node: str
    inquiry: Inquiry[Any]


class NodeRequests:
    """Lives in the supervisor's thread; `send` reaches the process of a node."""

    def __init__(self, state: PipelineState, playhead: Playhead, send: Send) -> None:
        self._state, self._playhead, self._send = state, playhead, send
        self._pending: dict[int, Pending] = {}  # by the id of the reply
        self._next = 1

    @property
    def pending(self) -> tuple[int, ...]:
        """Ids of the replies of nodes that are waited for."""
        return tuple(self._pending)

    def record(self, name: str) -> NodeRecord:
        """A node of the graph. Raises ControlError."""
        record = self._state.nodes.get(name)
        if record is None:
            known = self._state.nodes
            raise ControlError(f"unknown node {name!r}{nearest(name, known)}; known: {', '.join(known)}")
        return record

    # -- settings -------------------------------------------------------------------------------------

    def set(self, caller: Caller, request: SetRequest) -> SetReply | None:
        """A live setting, now or at a position. Raises ControlError, ConfigError."""
        record, name = self.record(request.node), request.name
        value = record.meant(name, request.value, request.typed)
        command = commands.Set(name, value, request.at)
        if request.at is None:
            put = Inquiry(command, _set_reply, lambda seen: self._put(record, name, value, seen=seen))
            return self._ask(caller, record, put)
        if len(record.schedule) >= MOST_SCHEDULED:
            raise ControlError(f"set: {record.name} has {MOST_SCHEDULED} settings that wait for their position")
        setting = ScheduledSetting(request.at, name, value)
        record.schedule.append(setting)  # until the node reports that it is in force
        self._state.changed()
        return self._ask(
            caller, record, Inquiry(command, _set_reply, refused=lambda: _remove(record.schedule, setting))
        )

    def _put(self, record: NodeRecord, name: str, value: Any, *, seen: bool) -> None:
        """A value is wanted from now on: the node has taken it, or there is no process that could refuse it."""
        if seen:
            record.change(name, value)
        else:
            record.change_unseen(name, value)
        self._state.changed()

    # -- events ---------------------------------------------------------------------------------------

    def send_event(self, caller: Caller, request: SendRequest) -> SendReply | None:
        """An event for an event input of a node; it is not kept, so the node must be there. Raises ControlError."""
        record, port, event = self.record(request.node), request.port, request.event
        known = record.spec.ports.event_inputs
        if port not in known:
            reason = f"{record.name} ({record.spec.kind}) takes no events on {port!r}{nearest(port, known)}"
            raise ControlError(f"{reason}; event inputs are {', '.join(known) or 'none'}")
        if not isinstance(event.get("kind"), str):
            raise ControlError(f"send.event: expected a map with a text 'kind', got {event!r:.80}")
        pack_event(event)
        if record.phase is not Phase.RUNNING:
            raise ControlError(f"{record.name} is {record.phase.value}; send it again when it runs")
        return self._ask(caller, record, Inquiry(commands.Event(port, event), _send_reply))

    # -- transport ------------------------------------------------------------------------------------

    def transport(self, caller: Caller, request: TransportRequest) -> TransportReply | None:
        """Plays, pauses or moves a source. Raises ControlError."""
        record = self.record(request.node)
        transport = self._state.transports.get(record.name)
        if transport is None:
            known = ", ".join(self._state.transports) or "none"
            raise ControlError(f"{record.name} is no source that can be paused; sources are {known}")
        command = self._command(record, transport, request.command, request.args or {})
        self._state.changed()
        return self._ask(caller, record, Inquiry(command, _transport_reply))

    def _command(
        self, record: NodeRecord, transport: Transport, command: str, args: dict[str, Any]
    ) -> commands.Transport:
        """What a command means for the source; old sound is cancelled downstream before the source receives it."""
        known = ("play", "pause", *record.spec.cls.commands)
        if command not in known:
            hint = f"{nearest(command, known)}; expected one of {', '.join(known)}"
            raise ControlError(f"{record.name} has no command {command!r}{hint}")
        if command == "loop":
            transport.loop = switch("loop: on", args.get("on", True))
            return commands.Transport(command, {"on": transport.loop})
        if command in ("play", "pause") and transport.playing == (command == "play"):
            return commands.Transport(command)  # it is so already
        if command == "play":
            transport.playing = True
            return commands.Transport(command, {}, transport.generation)
        if command == "pause":
            args = {"seconds": self._playhead.audible_media_s(record.name)} if "seek" in known else {}
            transport.playing = False
        elif command == "seek":
            args = {"seconds": seconds("seek: seconds", args.get("seconds"))}
        self._playhead.cancel(record.name)
        return commands.Transport(command, args, transport.generation, transport.playing)

    # -- to a node and back ---------------------------------------------------------------------------

    def _ask(self, caller: Caller, record: NodeRecord, inquiry: Inquiry[R]) -> R | None:
        """Passes a command on: None, the reply comes later. A node that is down gets it with its next start."""
        if record.phase is Phase.ENDED and record.child is None:
            inquiry.refused()
            raise ControlError(f"{record.name} has ended, and so has its process")
        if record.phase not in (Phase.RUNNING, Phase.ENDED) or record.child is None:
            inquiry.taken(False)
            note = f"{record.name} is {record.phase.value}; it gets this when it is back"
            return inquiry.make(commands.answer_in(inquiry.command, {}), None, note)
        if len(self._pending) >= MOST_PENDING:
            inquiry.refused()
            raise ControlError(f"{MOST_PENDING} requests wait for a reply of a node; try again")
        number, self._next = self._next, self._next + 1
        self._pending[number] = Pending(caller, record.name, inquiry)
        self._send(record.address, replace(inquiry.command, id=number))
        return None

    def on_reply(self, record: NodeRecord, reply: notices.Reply) -> None:
        """A node's reply goes to whoever asked. Raises ControlError for one that is malformed."""
        waiting = self._pending.pop(reply.id, None)
        if waiting is None:
            return
        inquiry, caller = waiting.inquiry, waiting.caller
        if not reply.ok:
            inquiry.refused()
            caller.refuse(str(reply.error))
            return
        inquiry.taken(True)
        try:
            answer = commands.answer_in(inquiry.command, reply.result)
        except ControlError as error:
            caller.refuse(f"{record.name} has done it, but its answer is malformed: {error}")
            raise
        caller.reply(inquiry.make(answer, self._rest_ms(record.name), ""))

    def _rest_ms(self, name: str) -> float:
        """From a node's output to the end of the slowest path behind it."""
        ways = [path for path in self._state.plan.paths if name in path.names]
        rests = [sum(path.terms_ms[after] for after in path.names[path.names.index(name) + 1 :]) for path in ways]
        return max(rests, default=0.0)

    def forget(self, node: str | None = None) -> None:
        """Refuses whoever still waits for a node that died, or for any at the end."""
        reason = f"{node} died before it answered" if node else "the pipeline ended"
        for number, waiting in list(self._pending.items()):
            if node in (None, waiting.node):
                del self._pending[number]
                waiting.caller.refuse(reason)


def _set_reply(answer: Position, heard_in_ms: float | None, note: str) -> SetReply:
    return SetReply(answer.position, heard_in_ms, note)


def _send_reply(answer: Position, heard_in_ms: float | None, note: str) -> SendReply:
    return SendReply(answer.position, heard_in_ms)


def _transport_reply(answer: Result, heard_in_ms: float | None, note: str) -> TransportReply:
    return TransportReply(answer.result, heard_in_ms, note)


def _remove(schedule: list[ScheduledSetting], setting: ScheduledSetting) -> None:
    """One that was refused is not waited for; it may have been applied meanwhile."""
    if setting in schedule:
        schedule.remove(setting)
