"""What there is to see of a running pipeline, read off its boards and its plan."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from audio_pipeline.clock import ClockLine, ClockRecord
from audio_pipeline.settings import live_names, plain
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.incidents import Incidents
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.records import NodeRecord
from audio_pipeline.supervisor.state import Boards, ledger_of, link_state, node_state, paths_state, taps_state


class Overview:
    """The state of everything, as one plain dict. Lives in the supervisor's thread."""

    def __init__(
        self,
        state: PipelineState,
        life: Lifecycle,
        events: EventStream,
        incidents: Incidents,
        playhead: Playhead,
        clock: ClockRecord,
        run_name: str,
    ) -> None:
        self._state, self._life, self._events, self._incidents = state, life, events, incidents
        self._playhead, self._clock, self._run_name = playhead, clock, run_name

    def state(self) -> dict[str, Any]:
        """Everything there is to see."""
        pipeline, playhead = self._state, self._playhead
        plan = pipeline.plan
        # consumers first: whatever moves on while we read then looks like "in flight", never like too much delivered
        boards = {name: playhead.boards(name) for name in reversed(plan.order)}
        line = self._clock.read()
        rate = line.rate if line else float(pipeline.graph.rate)
        return {
            "name": pipeline.graph.name,
            "revision": pipeline.revision,
            "uptime_s": self._life.uptime_s,
            "rate": pipeline.graph.rate,
            "frame_samples": pipeline.graph.frame_samples,
            "live": pipeline.live,
            "folder": str(pipeline.run.folder),
            "run": self._run_name,
            "ended": False,
            "progress": self._progress(),
            "position": self._position(line),
            "clock": {"master": plan.clocks.master, "ppm": (rate / pipeline.graph.rate - 1) * 1e6},
            "nodes": {name: self._node(record, boards[name]) for name, record in pipeline.nodes.items()},
            "links": [link_state(link, boards) for link in plan.links],
            "former_links": self._former_links(boards),
            "graph_revision": pipeline.graph_revision,
            "taps": [tap for name in plan.order for tap in taps_state(name, boards[name])],
            "paths": paths_state(plan, boards),
            "transport": self._transports(),
            "incidents": list(self._incidents),
            "incident_count": self._incidents.total,
            "log": list(self._events.log_lines),
        }

    def ledger(self, name: str) -> list[dict[str, Any]]:
        """What has become of every frame on a node's links."""
        plan = self._state.plan
        links = [link for link in plan.links if name in (link.source.node, link.target.node)]
        ends = {end.node for link in links for end in (link.source, link.target)}
        boards = {end: self._playhead.boards(end) for end in reversed(plan.order) if end in ends}
        return [ledger_of(link_state(link, boards)) for link in links]

    def _former_links(self, boards: Mapping[str, Boards]) -> list[dict[str, Any]]:
        """What became of frames on links that are no more; gone nodes have boards that were kept."""
        links = self._state.retired.values()
        ends = {end.node for link in links for end in (link.source, link.target)}
        known = {**boards, **{name: self._playhead.boards(name) for name in ends if name not in boards}}
        return [link_state(link, known) for link in links]

    def _position(self, line: ClockLine | None) -> int:
        """Of the graph's clock; offline, how far the sources are."""
        if not self._state.live:
            return max((self._playhead.last_position(name) for name in self._state.transports), default=0)
        return round(line.position_at(time.monotonic_ns())) if line else 0

    def _node(self, record: NodeRecord, boards: Boards) -> dict[str, Any]:
        plan, latency = self._state.plan, self._state.plan.latencies[record.name]
        to_ms = 1000 / plan.rate_of(record.name)
        terms = {
            "window": latency.window,
            "lookahead": latency.lookahead,
            "hop": latency.hop,
            "compute": latency.compute,
            "total": latency.total,
        }
        age_ns = int((time.monotonic() - record.started_s) * 1e9)
        return {
            "kind": record.spec.kind,
            "process": self._state.run.process_of(record.spec),
            "state": record.phase.value,
            "pid": record.child.pid if record.child else None,
            "restarts": record.incarnation - record.born,
            "cpu": record.cpu,
            "rss_mb": record.rss_mb,
            "note": record.note,
            "disk_wait_s": record.disk_wait_s,
            "outputs": list(record.spec.ports.outputs),
            "events": list(record.spec.ports.events),
            "event_inputs": list(record.spec.ports.event_inputs),
            "printed": record.child.log.name if record.child else "",
            "latency_ms": {name: value * to_ms for name, value in terms.items()},
            "settings": {**plain(record.settings), "inputs": plain(record.input_settings)},
            "live": record.live or live_names(record.settings),
            **node_state(boards, age_ns),
        }

    def _transports(self) -> dict[str, Any]:
        shown = {}
        for name, transport in self._state.transports.items():
            piece = transport.piece_at(self._playhead.audible_position(name) or 0)
            shown[name] = {
                "playing": transport.playing,
                "loop": transport.loop,
                "media_s": self._playhead.audible_media_s(name),
                "length_s": piece.length_s if piece else 0.0,
                "media_id": piece.media_id if piece else "",
            }
        return shown

    def _progress(self) -> float:
        """Offline: how much of the longest song is through."""
        done = 0.0
        for name, transport in self._state.transports.items():
            piece = transport.pieces[-1] if transport.pieces else None
            board = self._playhead.boards(name).now
            if piece and piece.length_s and board:
                done = max(done, board.get("position", 0) / self._state.graph.rate / piece.length_s)
        return min(done, 1.0)
