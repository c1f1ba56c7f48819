"""The parts that start, change and answer for a graph: over processes and over virtual time they are the same."""

from __future__ import annotations

from audio_pipeline.supervisor.departed import Departed, LastBoard
from audio_pipeline.supervisor.editor import Editor
from audio_pipeline.supervisor.event_stream import EventStream
from audio_pipeline.supervisor.lifecycle import Lifecycle
from audio_pipeline.supervisor.node_messages import NodeMessages
from audio_pipeline.supervisor.node_requests import NodeRequests
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.supervisor.ports import Ports
from audio_pipeline.supervisor.relinker import Relinker
from audio_pipeline.supervisor.starter import Starter
from audio_pipeline.supervisor.transaction import Transaction


class GraphParts:
    """Each is given what it uses; all that they do to the outside goes through `ports`."""

    def __init__(
        self,
        state: PipelineState,
        life: Lifecycle,
        events: EventStream,
        playhead: Playhead,
        ports: Ports,
        last_board: LastBoard,
    ) -> None:
        self.starter = Starter(state, life, events, ports)
        self.departed, relinker = Departed(state, last_board), Relinker(state, events, ports)
        self.transaction = Transaction(state, events, self.starter, relinker, self.departed, ports)
        self.editor = Editor(state, life, self.transaction)
        self.node_requests = NodeRequests(state, playhead, ports.send)
        self.node_messages = NodeMessages(
            state, life, events, self.transaction, relinker, self.starter, self.node_requests
        )
