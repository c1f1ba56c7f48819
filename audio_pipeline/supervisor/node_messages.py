"""Carries out what nodes send: that they are ready, failed, ended, what they log and what a successor needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from audio_pipeline.control import notices
from audio_pipeline.control.codec import MALFORMED
from audio_pipeline.control.events import node_event
from audio_pipeline.control.notices import Notice
from audio_pipeline.errors import ControlError
from audio_pipeline.graph.job import ScheduledSetting
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
LASTING = (notices.Event, notices.Log, notices.Snapshot, notices.Applied)
MOST_LIVE = 1_000  # names of live settings


class NodeMessages:
    """Lives in the supervisor's thread; a malformed message is logged and changes nothing."""

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
        self._handlers: Mapping[type[Any], Callable[[NodeRecord, Any], None]] = {
            notices.Ready: self._on_ready,
            notices.Failed: self._on_failed,
            notices.Ended: self._on_ended,
            notices.Resumed: self._on_resumed,
            notices.Event: self._on_event,
            notices.Log: self._on_log,
            notices.Snapshot: self._on_snapshot,
            notices.Reply: self._on_reply,
            notices.Dismissed: lambda record, notice: transaction.on_dismissed(record),
            notices.Applied: self._on_applied,
        }

    def receive(self, message: Mapping[str, object], sender: bytes = b"") -> None:
        """A message with the right token from a node, or from one that was here.

        Of a process whose end is known already only what does not speak of its own state is taken: that it was ready
        or ended says nothing of its successor.
        """
        record = self._state.find(str(message["node"]))
        if record is None:
            return
        try:
            notice = notices.notice_in(message)
            if sender in (b"", record.address) or isinstance(notice, LASTING):
                self.handle(record, notice)
        except ControlError as error:
            self._note_malformed(record, str(error))

    def handle(self, record: NodeRecord, notice: Notice) -> None:
        """A notice that is well-formed by itself; what it means may not be."""
        try:
            self._handlers[type(notice)](record, notice)
        except ControlError as error:
            self._note_malformed(record, str(error))
        except MALFORMED as error:
            self._note_malformed(record, f"{notices.OPS[type(notice)]}: {type(error).__name__} {error}")

    def _note_malformed(self, record: NodeRecord, reason: str) -> None:
        sentence = clipped(f"malformed message from {record.name}: {reason}", CAUSE_CHARACTERS)
        self._events.log(sentence, event="malformed", level="warning", node=record.name)

    def _on_ready(self, record: NodeRecord, notice: notices.Ready) -> None:
        live = list(notice.live[:MOST_LIVE])
        before, record.latency, record.live = record.latency, _stated(notice.latency), live
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

    def _on_failed(self, record: NodeRecord, notice: notices.Failed) -> None:
        record.failure = replace(notice, error=clipped(notice.error, CAUSE_CHARACTERS))

    def _on_resumed(self, record: NodeRecord, notice: notices.Resumed) -> None:
        """Sought back after it had sent its end."""
        if record.phase is Phase.ENDED:
            record.phase = Phase.RUNNING
            self._state.changed()

    def _on_ended(self, record: NodeRecord, notice: notices.Ended) -> None:
        record.phase = Phase.ENDED
        self._transaction.on_ended(record)
        self._state.changed()

    def _on_reply(self, record: NodeRecord, notice: notices.Reply) -> None:
        """To a message about links, which bears a negative number, or to what a client asked."""
        if notice.id < 0:
            self._transaction.on_reply(notice.id, None if notice.ok else str(notice.error))
        else:
            self._node_requests.on_reply(record, notice)

    def _on_log(self, record: NodeRecord, notice: notices.Log) -> None:
        record.note = clipped(str(notice.message), CAUSE_CHARACTERS)
        self._events.log(f"{record.name}: {record.note}", event="said", node=record.name)

    def _on_event(self, record: NodeRecord, notice: notices.Event) -> None:
        """An event of a node: kept for watchers; `media` events are the song's map."""
        event = node_event(record.name, notice.event)
        transport = self._state.transports.get(record.name)
        if event.kind == "media" and transport is not None:
            transport.on_event(event)
        self._events.publish(event)

    def _on_applied(self, record: NodeRecord, notice: notices.Applied) -> None:
        """A setting that waited for its position is in force, for a successor as well; or the node refused it."""
        setting = ScheduledSetting(notice.at, notice.name, notice.value)
        if setting in record.schedule:
            record.schedule.remove(setting)
            if notice.ok:
                record.change(setting.name, setting.value)
            self._state.changed()

    def _on_snapshot(self, record: NodeRecord, notice: notices.Snapshot) -> None:
        record.state = dict(notice.state)


def _stated(samples: Any) -> Latency:
    """A node's own word on its latency. Raises ValueError for what no plan can be made of."""
    window, lookahead, hop, compute = (int(each) for each in samples)
    if min(window, lookahead, hop, compute) < 0 or window + lookahead + hop + compute > MAX_LATENCY_SAMPLES:
        raise ValueError(f"latency {samples!r}, expected samples from 0 to {MAX_LATENCY_SAMPLES}")
    return Latency(window, lookahead, hop, compute)
