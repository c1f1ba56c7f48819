"""What nodes say to the supervisor: that they are ready, failed, ended, what they log and what a successor needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from audio_pipeline.control.codec import MALFORMED
from audio_pipeline.node import Latency
from audio_pipeline.supervisor.incidents import CAUSE_CHARACTERS, clipped
from audio_pipeline.supervisor.records import NodeRecord, Phase

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor

MAX_LATENCY_SAMPLES = 1 << 32
MOST_LIVE = 1_000  # names of live settings


class NodeMessages:
    """Takes one word after the other, in the supervisor's thread; a malformed one is logged and changes nothing."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._sup = supervisor
        self._handlers: dict[str, Callable[[NodeRecord, Mapping[str, Any]], None]] = {
            "ready": self._on_ready,
            "failed": self._on_failed,
            "ended": self._on_ended,
            "resumed": self._on_resumed,
            "event": supervisor.control_server.on_event,
            "log": self._on_log,
            "snapshot": self._on_snapshot,
            "reply": supervisor.control_server.on_reply,
            "dismissed": self._on_dismissed,
            "applied": self._on_applied,
        }

    def hear(self, word: Mapping[str, Any]) -> None:
        """A word with the right token from a node, or from one that was here."""
        sup, name = self._sup, str(word["node"])
        record = sup.nodes.get(name) or sup.editor.joining.get(name) or sup.editor.leaving.get(name)
        handler = self._handlers.get(str(word.get("op")))
        if record is None or handler is None:
            return
        try:
            handler(record, word)
        except MALFORMED as error:
            sup.log(f"{record.name} said something malformed ({word.get('op')}: {type(error).__name__} {error})")

    def _on_ready(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        sup = self._sup
        live = [str(name) for name in word["live"][:MOST_LIVE]]
        before, record.latency, record.live = record.latency, _stated(word["latency"]), live
        record.ready, record.proven = True, None
        if record.name in sup.editor.joining:
            sup.editor.on_ready(record)
        elif sup.started and record.phase is Phase.FAILED and sup.finishing_s is not None:
            return  # parked, and back too late: nobody waits for it any more
        elif sup.started:
            sup.start_node(record)
            sup.editor.bring_up_to_date(record)
            if record.latency != before:
                sup.editor.replan()
        elif all(other.ready or other.phase is Phase.ABSENT for other in sup.nodes.values()):
            sup.start_all()

    def _on_failed(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.said = {**word, "error": clipped(str(word.get("error", "")), CAUSE_CHARACTERS)}

    def _on_resumed(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """Sought back after it had sent its end."""
        if record.phase is Phase.ENDED:
            record.phase = Phase.RUNNING
            self._sup.control_server.changed()

    def _on_ended(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.phase = Phase.ENDED
        if record.name in self._sup.editor.leaving:
            self._sup.editor.on_ended(record)
        self._sup.control_server.changed()

    def _on_dismissed(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        self._sup.editor.on_dismissed(record)

    def _on_log(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.note = clipped(str(word["message"]), CAUSE_CHARACTERS)
        self._sup.log(f"{record.name}: {record.note}", event="said", node=record.name)

    def _on_applied(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        """A setting that waited for its position is in force, for a successor as well; or the node refused it."""
        entry = [word["at"], str(word["name"]), word["value"]]
        if entry in record.schedule:
            record.schedule.remove(entry)
            if word.get("ok", True):
                record.change(entry[1], entry[2])
            self._sup.control_server.changed()

    def _on_snapshot(self, record: NodeRecord, word: Mapping[str, Any]) -> None:
        record.state = dict(word["state"])


def _stated(samples: Any) -> Latency:
    """A node's own word on its latency. Raises ValueError for what no plan can be made of."""
    window, lookahead, hop, compute = (int(each) for each in samples)
    if min(window, lookahead, hop, compute) < 0 or window + lookahead + hop + compute > MAX_LATENCY_SAMPLES:
        raise ValueError(f"latency {samples!r}, expected samples from 0 to {MAX_LATENCY_SAMPLES}")
    return Latency(window, lookahead, hop, compute)
