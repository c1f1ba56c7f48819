"""What there is to see of a running pipeline, read off its boards and its plan."""

from __future__ import annotations

import time
from collections.abc import Mapping

from audio_pipeline.clock import ClockLine, ClockRecord
from audio_pipeline.control.incident import LinkFlow
from audio_pipeline.control.snapshots import (
    Description,
    Ledger,
    LinkLedger,
    Meters,
    NodeDescription,
    NodeMeters,
    SongMeters,
)
from audio_pipeline.control.state import State
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.setting_values import live_names, plain
from audio_pipeline.supervisor.board_readings import Boards
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.incidents import Incidents
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.records import NodeRecord, Phase
from audio_pipeline.supervisor.state import (
    busy_share,
    flow_of,
    levels_db,
    link_description,
    link_ledger,
    link_meters,
    node_ledger,
    path_descriptions,
    path_ledgers,
    tap_ledgers,
)
from audio_pipeline.supervisor.state_size import fitted_description, fitted_ledger

NOTE_CHARACTERS = 200


class Overview:
    """Description, meters and ledger. Lives in the supervisor's thread."""

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

    @property
    def revision(self) -> int:
        """Of the description."""
        return self._state.revision

    def state(self) -> State:
        """Everything there is to see."""
        return State(self.describe(), self.meters(), self.ledger())

    def _boards(self) -> dict[str, Boards]:
        """Consumers first: whatever moves on while we read looks like "in flight", never like too much delivered."""
        return {name: self._playhead.boards(name) for name in reversed(self._state.plan.order)}

    # -- what it is made of ---------------------------------------------------------------------------

    def describe(self) -> Description:
        """Changes with `revision`."""
        state, plan = self._state, self._state.plan
        description = Description(
            state.graph.name,
            self._run_name,
            str(state.run.folder),
            state.graph.rate,
            state.graph.frame_samples,
            state.live,
            state.revision,
            state.graph_revision,
            {name: self._node_description(record) for name, record in state.nodes.items()},
            tuple(map(link_description, plan.links)),
            tuple(path_descriptions(plan)),
        )
        return fitted_description(description)

    def _node_description(self, record: NodeRecord) -> NodeDescription:
        ports = record.spec.ports
        return NodeDescription(
            record.spec.kind,
            self._state.run.process_of(record.spec),
            tuple(ports.outputs),
            tuple(ports.events),
            tuple(ports.event_inputs),
            self._latency_ms(record.name),
            {**plain(record.settings), "inputs": plain(record.input_settings)},
            tuple(record.live or live_names(record.settings)),
        )

    def _latency_ms(self, name: str) -> dict[str, float]:
        latency, to_ms = self._state.plan.latencies[name], 1000 / self._state.plan.rate_of(name)
        terms = ("window", "lookahead", "hop", "compute", "total")
        return {term: getattr(latency, term) * to_ms for term in terms}

    # -- what moves -----------------------------------------------------------------------------------

    def meters(self) -> Meters:
        """Cheap: no histogram is sent, no file is parsed again."""
        state, boards, line = self._state, self._boards(), self._clock.read()
        rate = line.rate if line else float(state.graph.rate)
        return Meters(
            state.revision,
            state.graph_revision,
            self._life.uptime_s,
            self._position(line),
            self._progress(),
            state.plan.clocks.master,
            (rate / state.graph.rate - 1) * 1e6,
            {name: _node_meters(record, boards[name]) for name, record in state.nodes.items()},
            tuple(link_meters(link, boards) for link in state.plan.links),
            {name: self._song(name, boards) for name in state.transports},
            self._incidents.total,
        )

    def _position(self, line: ClockLine | None) -> int:
        """Of the graph's clock; offline, how far the sources are."""
        if not self._state.live:
            return max((self._playhead.last_position(name) for name in self._state.transports), default=0)
        return round(line.position_at(time.monotonic_ns())) if line else 0

    def _song(self, name: str, boards: Mapping[str, Boards]) -> SongMeters:
        transport = self._state.transports[name]
        piece = transport.piece_at(self._playhead.audible_position(name, boards) or 0)
        length_s, media_id = (piece.length_s, piece.media_id) if piece else (0.0, "")
        media_s = self._playhead.audible_media_s(name, boards)
        return SongMeters(transport.playing, transport.loop, media_s, length_s, media_id)

    def _progress(self) -> float:
        """Offline: how much of the longest song is through."""
        done = 0.0
        for name, transport in self._state.transports.items():
            piece = transport.pieces[-1] if transport.pieces else None
            board = self._playhead.boards(name).now
            if piece and piece.length_s and board:
                done = max(done, board.get("position", 0) / self._state.graph.rate / piece.length_s)
        return min(done, 1.0)

    # -- what was counted -----------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """The account of every frame, with histograms, counters, incidents and the log."""
        state, boards = self._state, self._boards()
        ledger = Ledger(
            state.graph_revision,
            self._life.uptime_s,
            {name: node_ledger(boards[name], record.note, _printed(record)) for name, record in state.nodes.items()},
            tuple(link_ledger(link, boards) for link in state.plan.links),
            tuple(self._former_links(boards)),
            tuple(tap for name in state.plan.order for tap in tap_ledgers(name, boards[name])),
            tuple(path_ledgers(state.plan, boards)),
            tuple(self._incidents),
            self._incidents.total,
            tuple(self._events.log_lines),
        )
        return fitted_ledger(ledger)

    def _former_links(self, boards: Mapping[str, Boards]) -> list[LinkLedger]:
        """What became of frames on links that are no more; gone nodes have boards that were kept."""
        links = self._state.retired.values()
        ends = {end for link in links for end in _ends(link)}
        known = {**boards, **{name: self._playhead.boards(name) for name in ends if name not in boards}}
        return [link_ledger(link, known) for link in links]

    def node_ledger(self, name: str) -> list[LinkFlow]:
        """What has become of every frame on a node's links, without ages: for an incident."""
        links = [link for link in self._state.plan.links if name in _ends(link)]
        ends = {end for link in links for end in _ends(link)}
        boards = {end: self._playhead.boards(end) for end in reversed(self._state.plan.order) if end in ends}
        return [flow_of(link, boards) for link in links]


def _ends(link: LinkPlan) -> tuple[str, str]:
    """The nodes at both ends."""
    return link.source.node, link.target.node


def _node_meters(record: NodeRecord, boards: Boards) -> NodeMeters:
    age_ns = int((time.monotonic() - record.started_s) * 1e9)
    return NodeMeters(
        record.phase.value,
        record.child.pid if record.child else None,
        record.incarnation - record.born,
        record.cpu,
        record.rss_mb,
        busy_share(boards, age_ns),
        record.disk_wait_s,
        levels_db(boards, record.spec.ports.outputs),
        "" if record.phase is Phase.RUNNING else record.note[:NOTE_CHARACTERS],
    )


def _printed(record: NodeRecord) -> str:
    """The file with what its process prints."""
    return record.child.log.name if record.child else ""
