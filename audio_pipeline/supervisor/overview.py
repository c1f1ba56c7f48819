"""What there is to see of a running pipeline, read off its boards and its plan."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audio_pipeline.clock import ClockLine
from audio_pipeline.settings import live_names, plain
from audio_pipeline.supervisor.records import NodeRecord
from audio_pipeline.supervisor.state import Boards, ledger_of, link_state, node_state, paths_state, taps_state

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor


class Overview:
    """The state of everything, as one plain dict. Lives in the supervisor's thread."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._sup = supervisor

    def boards(self, name: str) -> Boards:
        editor = self._sup.editor
        everybody = (self._sup.nodes, editor.joining, editor.leaving, editor.former)
        record = next(records[name] for records in everybody if name in records)
        path = self._sup.run.board_path(name, record.incarnation)
        return Boards(record.dead, path if path.exists() else None)

    def last_position(self, name: str) -> int:
        return max((int(board.get("position", 0)) for board in self.boards(name).all), default=0)

    def heard_position(self, name: str) -> int | None:
        """Content position of a source's timeline that is heard now, as far as a mixer or player says."""
        timelines = self._sup.run.plan.timelines
        for record in self._sup.nodes.values():
            board = self.boards(record.name).now
            if board is None:
                continue
            if f"heard.{name}" in board:
                return int(board[f"heard.{name}"])
            if record.spec.cls.audible and timelines[record.name] == name and "gauge.heard_position" in board:
                return int(board["gauge.heard_position"])
        return None

    def heard_media_s(self, name: str) -> float:
        """Song time that is heard now."""
        transport = self._sup.transports[name]
        position = self.heard_position(name)
        if position is None:
            board = self.boards(name).now
            position = int(board.get("position", 0)) if board else transport.position
        return transport.media_s(position, self._sup.graph.rate)

    def state(self) -> dict[str, Any]:
        """Everything there is to see."""
        sup = self._sup
        # consumers first: whatever moves on while we read then looks like "in flight", never like too much delivered
        boards = {name: self.boards(name) for name in reversed(sup.run.plan.order)}
        line = sup.clock.read()
        rate = line.rate if line else float(sup.graph.rate)
        return {
            "name": sup.graph.name,
            "revision": sup.revision,
            "uptime_s": sup.uptime_s,
            "rate": sup.graph.rate,
            "frame_samples": sup.graph.frame_samples,
            "live": sup.live,
            "folder": str(sup.folder),
            "run": sup.run_dir.name,
            "ended": False,
            "progress": self._progress(),
            "position": self._position(line),
            "clock": {"master": sup.master, "ppm": (rate / sup.graph.rate - 1) * 1e6},
            "nodes": {name: self._node(record, boards[name]) for name, record in sup.nodes.items()},
            "links": [link_state(link, boards) for link in sup.run.plan.links],
            "former_links": self._former_links(boards),
            "graph_revision": sup.editor.revision,
            "taps": [tap for name in sup.run.plan.order for tap in taps_state(name, boards[name])],
            "paths": paths_state(sup.run.plan, boards),
            "transport": self._transports(),
            "incidents": list(sup.process_manager.incidents),
            "incident_count": sup.process_manager.incidents.total,
            "log": list(sup.log_lines),
        }

    def ledger(self, name: str) -> list[dict[str, Any]]:
        """What has become of every frame on a node's links."""
        plan = self._sup.run.plan
        links = [link for link in plan.links if name in (link.source.split(".")[0], link.target.split(".")[0])]
        ends = {end.split(".")[0] for link in links for end in (link.source, link.target)}
        boards = {end: self.boards(end) for end in reversed(plan.order) if end in ends}
        return [ledger_of(link_state(link, boards)) for link in links]

    def _former_links(self, boards: Mapping[str, Boards]) -> list[dict[str, Any]]:
        """What became of frames on links that are no more; gone nodes have boards that were kept."""
        links = self._sup.editor.retired.values()
        ends = {end.split(".")[0] for link in links for end in (link.source, link.target)}
        known = {**boards, **{name: self.boards(name) for name in ends if name not in boards}}
        return [link_state(link, known) for link in links]

    def _position(self, line: ClockLine | None) -> int:
        """Of the graph's clock; offline, how far the sources are."""
        if not self._sup.live:
            return max((self.last_position(name) for name in self._sup.transports), default=0)
        return round(line.position_at(time.monotonic_ns())) if line else 0

    def _node(self, record: NodeRecord, boards: Boards) -> dict[str, Any]:
        plan, latency = self._sup.run.plan, self._sup.run.plan.latencies[record.name]
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
            "process": self._sup.run.process_of(record.spec),
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
        for name, transport in self._sup.transports.items():
            piece = transport.piece_at(self.heard_position(name) or 0)
            shown[name] = {
                "playing": transport.playing,
                "loop": transport.loop,
                "media_s": self.heard_media_s(name),
                "length_s": piece.length_s if piece else 0.0,
                "media_id": piece.media_id if piece else "",
            }
        return shown

    def _progress(self) -> float:
        """Offline: how much of the longest song is through."""
        done = 0.0
        for name, transport in self._sup.transports.items():
            piece = transport.pieces[-1] if transport.pieces else None
            board = self.boards(name).now
            if piece and piece.length_s and board:
                done = max(done, board.get("position", 0) / self._sup.graph.rate / piece.length_s)
        return min(done, 1.0)
