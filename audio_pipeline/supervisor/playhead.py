"""Where in its song each source is, and how it goes on there."""

from __future__ import annotations

from collections.abc import Mapping

from audio_pipeline.graph.job import SourcePlace
from audio_pipeline.supervisor.board_readings import BoardReadings, Boards
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Send
from audio_pipeline.supervisor.records import NodeRecord
from audio_pipeline.worker.commands import Cancel


class Playhead:
    """Reads positions off the boards; a cancel goes to all nodes out of band, by `send`."""

    def __init__(self, state: PipelineState, send: Send) -> None:
        self._state, self._send = state, send
        self._readings = BoardReadings()

    def boards(self, name: str) -> Boards:
        """What a node shows, and what its predecessors left. Raises KeyError for a node that never was here."""
        record = self._state.find(name) or self._state.former[name]
        return Boards(record.dead, self._readings.read(self._state.board_path(record)))

    def last_position(self, name: str) -> int:
        """How far a source has sent, in samples of its timeline."""
        return max((int(board.get("position", 0)) for board in self.boards(name).all), default=0)

    def audible_position(self, name: str, boards: Mapping[str, Boards] | None = None) -> int | None:
        """Content position of a source's timeline that plays now, as far as a mixer or player shows it.

        `boards`: of all nodes, where they have been read already.
        """
        for record in self._state.playing:
            board = (boards[record.name] if boards is not None else self.boards(record.name)).now
            if board is None:
                continue
            if f"heard.{name}" in board:
                return int(board[f"heard.{name}"])
            if self._plays(record, name) and "gauge.heard_position" in board:
                return int(board["gauge.heard_position"])
        return None

    def _plays(self, record: NodeRecord, timeline: str) -> bool:
        plan = self._state.plan
        return record.spec.cls.audible and plan.timelines[record.name] == timeline

    def audible_media_s(self, name: str, boards: Mapping[str, Boards] | None = None) -> float:
        """Song time that plays now; `boards` as for `audible_position`."""
        transport = self._state.transports[name]
        position = self.audible_position(name, boards)
        if position is None:
            board = self.boards(name).now
            position = int(board.get("position", 0)) if board else transport.position
        return transport.media_s(position, self._state.rate)

    def cancel(self, timeline: str) -> None:
        """A new generation: nothing of the old one is played any more, wherever it lies."""
        transport = self._state.transports[timeline]
        transport.generation += 1
        for record in self._state.playing:
            if record.name != timeline:
                self._send(record.address, Cancel(timeline, transport.generation))

    def before_restart(self, name: str) -> None:
        """A source comes back: it goes on where it was audible, as after a seek."""
        transport = self._state.transports[name]
        transport.position = max(transport.position, self.last_position(name))
        self.cancel(name)

    def place(self, name: str) -> SourcePlace:
        """What a restarted source must know."""
        transport = self._state.transports[name]
        return SourcePlace(transport.position, transport.playing, self.audible_media_s(name))
