"""What nodes say to the supervisor: that they are ready, failed, ended, what they log and what a successor needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from audio_pipeline.control.codec import MALFORMED
from audio_pipeline.node import Latency
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.incidents import CAUSE_CHARACTERS, clipped
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.node_requests import NodeRequests
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.relinker import Relinker
from audio_pipeline.supervisor.starter import Starter
from audio_pipeline.supervisor.transaction import Transaction

MAX_LATENCY_SAMPLES = 1 << 32
MOST_LIVE = 1_000  # names of live settings


class NodeMessages:
    """Takes one word after the other, in the supervisor's thread; a malformed one is logged and changes nothing."""

    def __init__(
        self,
        state: PipelineState,
        life: Lifecycle,
        events: EventStream,
        transaction: Transaction,
        relinker: Relinker,
        starter: Starter,
        node_requests: NodeRequests,
    ) -> None:
        self._state, self._life, self._events = state, life, events
        self._transaction, self._relinker, self._starter = transaction, relinker, starter
        self._node_requests = node_requests
        self._handlers: dict[str, Callable[[NodeRecord, Mapping[str, Any]], None]] = {
            "ready": self._on_ready,
            "failed": self._on_failed,
            "ended": self._on_ended,
            "resumed": self._on_resumed,
            "event": self._on_event,
            "log": self._on_log,
            "snapshot": self._on_snapshot,
            "reply": self._on_reply,
            "dismissed": self._on_dismissed,
            "applied": self._on_applied,
        }

    def receive(self, word: Mapping[str, Any]) -> None:
        """A word with the right token from a node, or from one that was here."""
        record = self._state.find(str(word["node"]))
        handler = self._handlers.get(str(word.get("op")))
        if record is None or handler is None:
            return
        try:
            handler(record, word)
        except MALFORMED as error:
            self._events.log(f"malformed message from {record.name} ({word.get('op')}: {type(error).__name__} {error})")

    def _on_ready(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        live = [str(name) for name in word["live"][:MOST_LIVE]]
        before, record.latency, record.live = record.latency, _stated(word["latency"]), live
        record.ready, record.proven = True, None
        if record.name in self._state.joining:
            self._transaction.on_ready(record)
        elif not self._life.started:
            self._starter.start_if_ready()
        elif record.phase is not Phase.FAILED or not self._life.ending:  # else parked, and back too late
            self._starter.start_node(record)
            self._relinker.bring_up_to_date(record)
            if record.latency != before:
                self._relinker.replan()

    def _on_failed(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.failure = {**word, "error": clipped(str(word.get("error", "")), CAUSE_CHARACTERS)}

    def _on_resumed(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """Sought back after it had sent its end."""
        if record.phase is Phase.ENDED:
            record.phase = Phase.RUNNING
            self._state.changed()

    def _on_ended(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.phase = Phase.ENDED
        self._transaction.on_ended(record)
        self._state.changed()

    def _on_reply(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """To a message about links, which bears a negative number, or to what a client asked."""
        number = int(word["id"])
        if number < 0:
            self._transaction.on_reply(number, None if word.get("ok") else str(word.get("error")))
        else:
            self._node_requests.on_reply(record, word)

    def _on_dismissed(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        self._transaction.on_dismissed(record)

    def _on_log(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.note = clipped(str(word["message"]), CAUSE_CHARACTERS)
        self._events.log(f"{record.name}: {record.note}", event="said", node=record.name)

    def _on_event(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """An event of a node: kept for watchers; `media` events are the song's map."""
        event = dict(word["event"])
        transport = self._state.transports.get(record.name)
        if event.get("kind") == "media" and transport is not None:
            transport.on_event(event)
        self._events.publish(event)

    def _on_applied(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """A setting that waited for its position is in force, for a successor as well; or the node refused it."""
        entry = [word["at"], str(word["name"]), word["value"]]
        if entry in record.schedule:
            record.schedule.remove(entry)
            if word.get("ok", True):
                record.change(entry[1], entry[2])
            self._state.changed()

    def _on_snapshot(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.state = dict(word["state"])


def _stated(samples: Any) -> Latency:
    """A node's own word on its latency. Raises ValueError for what no plan can be made of."""
    window, lookahead, hop, compute = (int(each) for each in samples)
    if min(window, lookahead, hop, compute) < 0 or window + lookahead + hop + compute > MAX_LATENCY_SAMPLES:
        raise ValueError(f"latency {samples!r}, expected samples from 0 to {MAX_LATENCY_SAMPLES}")
    return Latency(window, lookahead, hop, compute)
