"""Messages to every node of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.ports import Send


class Announcer:
    """Sends to the present process of each node."""

    def __init__(self, state: PipelineState, send: Send) -> None:
        self._state, self._send = state, send

    def absent(self, name: str) -> None:
        """Nothing comes from a node, and its consumers and producers do not wait for it."""
        self._to_all({"op": "absent", "node": name})

    def present(self, name: str) -> None:
        """A node that was absent takes part again."""
        self._to_all({"op": "present", "node": name})

    def finish(self) -> None:
        """The pipeline ends: sources end now, and the end travels through the graph."""
        self._to_all({"op": "finish"})

    def _to_all(self, message: Mapping[str, Any]) -> None:
        for record in self._state.playing:
            self._send(record.address, message)
