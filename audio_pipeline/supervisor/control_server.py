"""Answers the control socket: state, live settings, transport, the stream of changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from audio_pipeline.control.codec import MALFORMED, VERSION, decode
from audio_pipeline.control.message import fields_of
from audio_pipeline.control.numbers import field, seconds, shown, switch, table, whole
from audio_pipeline.errors import ControlError, PipelineError, WireError, nearest
from audio_pipeline.frame import pack_event
from audio_pipeline.supervisor.change import Outcome
from audio_pipeline.supervisor.editor import Editor
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.overview import Overview
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Send
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.shortage import reason_of
from audio_pipeline.supervisor.snapshots import description_of, ledger_of, meters_of
from audio_pipeline.supervisor.state_size import fitted
from audio_pipeline.supervisor.transport import Transport

MOST_PENDING = 1_000
MOST_SCHEDULED = 1_000  # settings of a node that wait for their position


@dataclass(frozen=True)
class Pending:
    """A request that waits for a node's answer."""

    client: bytes
    number: Any  # the client's own
    node: str
    taken: Callable[[bool], None]
    refused: Callable[[], None]


class ControlServer:
    """The part of the supervisor that people talk to. Lives in the supervisor's thread."""

    def __init__(
        self,
        state: PipelineState,
        life: Lifecycle,
        events: EventStream,
        editor: Editor,
        overview: Overview,
        playhead: Playhead,
        send: Send,
    ) -> None:
        self._state, self._life, self._events, self._editor = state, life, events, editor
        self.overview, self._playhead, self._send = overview, playhead, send
        self._pending: dict[int, Pending] = {}  # by the id of the reply
        self._next_reply = 1

    # -- requests ---------------------------------------------------------------------------------

    def request(self, client: bytes, word: Mapping[str, Any]) -> None:
        """Answers a client, at once or when the node has answered."""
        handlers = {
            "describe": self._describe,
            "meters": self._meters,
            "ledger": self._ledger,
            "set": self._set,
            "transport": self._transport,
            "events": self._since,
            "stop": self._stop,
            "graph": self._graph,
            "edit": self._edit,
            "undo": self._undo,
            "redo": self._redo,
            "ports": self._ports,
            "send": self._send_event,
        }
        number = word.get("id")
        handler = handlers.get(str(word.get("op")))
        try:
            if word.get("v") != VERSION:
                raise ControlError(f"control protocol version {word.get('v')!r}, expected {VERSION}")
            if handler is None:
                raise ControlError(f"unknown operation {word.get('op')!r}{nearest(str(word.get('op')), handlers)}")
            result = handler(client, number, word)
        except (PipelineError, *MALFORMED) as error:
            said = (
                str(error) if isinstance(error, PipelineError) else f"{word.get('op')}: {type(error).__name__} {error}"
            )
            self._send(client, {"id": number, "ok": False, "error": said})
            return
        except (OSError, MemoryError) as error:  # the system has too little of something: this question's misfortune
            self._send(client, {"id": number, "ok": False, "error": f"{word.get('op')}: {reason_of(error)}"})
            return
        if result is not None:
            self._send(client, {"id": number, "ok": True, "result": result})

    @property
    def pending(self) -> tuple[int, ...]:
        """Numbers of the replies of nodes that are waited for."""
        return tuple(self._pending)

    def _record(self, name: Any) -> NodeRecord:
        record = self._state.nodes.get(str(name))
        if record is None:
            known = self._state.nodes
            raise ControlError(f"unknown node {name!r}{nearest(str(name), known)}; known are {', '.join(known)}")
        return record

    def _describe(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any]:
        return fields_of(description_of(fitted(self.overview.state())))

    def _meters(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any]:
        return fields_of(meters_of(self.overview.state()))

    def _ledger(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any]:
        return fields_of(ledger_of(fitted(self.overview.state())))

    def _ports(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any]:
        """What can be listened to, and who waits for sound from elsewhere."""
        specs = self._state.graph.nodes.values()
        heard = {str(link.source) for spec in specs if spec.cls.audible for link in spec.inputs.values()}
        names = [f"{spec.name}.{port}" for spec in specs for port in spec.ports.outputs]
        outputs = [{"port": name, "heard": name in heard} for name in names]
        return {
            "name": self._state.graph.name,
            "rate": self._state.graph.rate,
            "outputs": outputs,
            "feeds": [spec.name for spec in specs if spec.cls.remote_input],
        }

    def _since(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any]:
        following, events = self._events.kept.since(whole("events: since", word.get("since") or 0))
        return {"next": following, "events": events}

    def _stop(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any]:
        self._life.stop()
        return {}

    def _graph(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any]:
        return self._editor.show()

    def _edit(self, client: bytes, number: Any, word: Mapping[str, Any]) -> None:
        self._editor.edit(word.get("changes") or [], word.get("revision"), partial(self._on_edited, client, number))

    def _on_edited(self, client: bytes, number: Any, outcome: Outcome) -> None:
        """A change of the graph is through, or was taken back."""
        if isinstance(outcome, PipelineError):
            self._send(client, {"id": number, "ok": False, "error": str(outcome)})
        else:
            self._send(client, {"id": number, "ok": True, "result": asdict(outcome)})

    def _undo(self, client: bytes, number: Any, word: Mapping[str, Any]) -> None:
        self._editor.step(word.get("revision"), partial(self._on_edited, client, number), back=True)

    def _redo(self, client: bytes, number: Any, word: Mapping[str, Any]) -> None:
        self._editor.step(word.get("revision"), partial(self._on_edited, client, number), back=False)

    def _set(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any] | None:
        record, name, at = self._record(field("set", word, "node")), str(field("set", word, "name")), word.get("at")
        if at is not None:
            whole("set: at", at, "a position (a whole number of samples)")
        value = record.meant(name, field("set", word, "value"), _text(word.get("typed")))
        command = {"op": "set", "name": name, "value": value, "at": at}
        if at is None:
            return self._ask(client, number, record, command, lambda seen: self._put(record, name, value, seen=seen))
        if len(record.schedule) >= MOST_SCHEDULED:
            raise ControlError(f"set: {record.name} has {MOST_SCHEDULED} settings that wait for their position")
        entry = [at, name, value]
        record.schedule.append(entry)  # until the node says that it is there
        self._state.changed()
        return self._ask(client, number, record, command, refused=lambda: _remove(record.schedule, entry))

    def _put(self, record: NodeRecord, name: str, value: Any, *, seen: bool) -> None:
        """A value is wanted from now on: the node has taken it, or there is no process that could refuse it."""
        if seen:
            record.change(name, value)
        else:
            record.change_unseen(name, value)
        self._state.changed()

    def _send_event(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any] | None:
        """An event for an event input of a node; it is not kept, so the node must be there."""
        record, port = self._record(field("send", word, "node")), str(field("send", word, "port"))
        event = field("send", word, "event")
        known = record.spec.ports.event_inputs
        if port not in known:
            said = f"{record.name} ({record.spec.kind}) hears no events on {port!r}{nearest(port, known)}"
            raise ControlError(f"{said}; event inputs are {', '.join(known) or 'none'}")
        if not isinstance(event, Mapping) or not isinstance(event.get("kind"), str):
            raise ControlError(f"send: event: expected a map with a text 'kind', got {event!r:.80}")
        pack_event(dict(event))
        if record.phase is not Phase.RUNNING:
            raise ControlError(f"{record.name} is {record.phase.value}; send it again when it runs")
        return self._ask(client, number, record, {"op": "hear", "port": port, "event": dict(event)})

    def _ask(
        self,
        client: bytes,
        number: Any,
        record: NodeRecord,
        command: Mapping[str, Any],
        taken: Callable[[bool], None] = lambda seen: None,
        refused: Callable[[], None] = lambda: None,
    ) -> dict[str, Any] | None:
        """Passes a command on; a node that is down gets it with its next start.

        `taken` is called once the node has done it (True), or where it is down (False); `refused` where it will not.
        """
        if record.phase is Phase.ENDED and record.child is None:
            refused()
            raise ControlError(f"{record.name} has ended, and its process is gone")
        if record.phase not in (Phase.RUNNING, Phase.ENDED) or record.child is None:
            taken(False)
            return {
                "position": None,
                "note": f"{record.name} is {record.phase.value}; it takes this when it is back",
            }
        if len(self._pending) >= MOST_PENDING:
            refused()
            raise ControlError(f"{MOST_PENDING} requests wait for an answer of a node; try again")
        reply = self._next_reply
        self._next_reply += 1
        self._pending[reply] = Pending(client, number, record.name, taken, refused)
        self._send(record.address, {**command, "id": reply})
        return None

    def on_reply(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """A node's answer goes to whoever asked."""
        waiting = self._pending.pop(int(word["id"]), None)
        if waiting is None:
            return
        client, answer = waiting.client, {"id": waiting.number, "ok": bool(word.get("ok"))}
        if answer["ok"]:
            waiting.taken(True)
            result = word.get("result")
            answer["result"] = {
                **(result if isinstance(result, dict) else {}),
                "heard_in_ms": self._heard_in_ms(record.name),
            }
        else:
            waiting.refused()
            answer["error"] = word.get("error")
        self._send(client, answer)

    def _heard_in_ms(self, name: str) -> float:
        """From a node's output to the end of the slowest path behind it."""
        ways = [path for path in self._state.plan.paths if name in path.names]
        rests = [sum(path.terms_ms[after] for after in path.names[path.names.index(name) + 1 :]) for path in ways]
        return max(rests, default=0.0)

    # -- transport ----------------------------------------------------------------------------------

    def _transport(self, client: bytes, number: Any, word: Mapping[str, Any]) -> dict[str, Any] | None:
        record = self._record(field("transport", word, "node"))
        command = str(field("transport", word, "command"))
        transport = self._state.transports.get(record.name)
        if transport is None:
            known = ", ".join(self._state.transports) or "none"
            raise ControlError(f"{record.name} is no source that can be paused; sources are {known}")
        args = table("transport: args", word.get("args"))
        order = self._order(record, transport, command, args)
        self._state.changed()
        return self._ask(client, number, record, {"op": "transport", "command": command, **order})

    def _order(self, record: NodeRecord, transport: Transport, command: str, args: dict[str, Any]) -> dict[str, Any]:
        """What a command means for the source; old sound is cancelled downstream before it hears of it."""
        known = ("play", "pause", *record.spec.cls.commands)
        if command not in known:
            raise ControlError(
                f"{record.name} does not know {command!r}{nearest(command, known)}; it knows {', '.join(known)}"
            )
        if command == "loop":
            transport.loop = switch("loop: on", args.get("on", True))
            return {"args": {"on": transport.loop}}
        if command in ("play", "pause") and transport.playing == (command == "play"):
            return {"args": {}}  # it is so already
        if command == "play":
            transport.playing = True
            return {"generation": transport.generation, "playing": True, "args": {}}
        if command == "pause":
            args = {"seconds": self._playhead.audible_media_s(record.name)} if "seek" in known else {}
            transport.playing = False
        elif command == "seek":
            args = {"seconds": seconds("seek: seconds", args.get("seconds"))}
        self._playhead.cancel(record.name)
        return {"generation": transport.generation, "playing": transport.playing, "args": args}

    # -- events ---------------------------------------------------------------------------------------

    def on_event(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """An event of a node: kept for watchers; `media` events are the song's map."""
        event = dict(word["event"])
        if event.get("kind") == "media" and record.name in self._state.transports:
            self._state.transports[record.name].on_event(event)
        self._events.publish(event)

    def forget(self, node: str | None = None) -> None:
        """Answers whoever still waits for a node that died, or for any at the end."""
        said = f"{node} died before it answered" if node else "the pipeline ended"
        for reply, waiting in list(self._pending.items()):
            if node in (None, waiting.node):
                del self._pending[reply]
                self._send(waiting.client, {"id": waiting.number, "ok": False, "error": said})

    def refuse(self, client: bytes, message: bytes) -> None:
        """Answers a request that came during the end."""
        try:
            number = decode(message).get("id")
        except WireError:
            return
        if number is not None:
            self._send(client, {"id": number, "ok": False, "error": "the pipeline ended"})


def _text(typed: Any) -> str | None:
    """What a client says that somebody typed."""
    if typed is not None and not isinstance(typed, str):
        raise ControlError(f"set: typed: expected text, got {shown(typed)}")
    return typed


def _remove(schedule: list[list[Any]], entry: list[Any]) -> None:
    """One that was refused is not waited for; it may have been applied meanwhile."""
    if entry in schedule:
        schedule.remove(entry)
