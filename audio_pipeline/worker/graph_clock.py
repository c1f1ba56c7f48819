"""The clock that a node's region runs on, beside the host's."""

from __future__ import annotations

from audio_pipeline.clock import ClockLine, ClockRecord, HostClock


class GraphClock:
    """Reads the record that the clock master writes; before the first entry, position 0 is now."""

    def __init__(self, record: ClockRecord, host: HostClock, rate: int) -> None:
        self.record, self.host = record, host
        self.now_ns = host.now_ns  # without a call in between: it is read several times a frame
        self._rate = rate

    def line(self) -> ClockLine:
        """The newest entry."""
        return self.record.read() or ClockLine(0.0, self.host.now_ns(), float(self._rate))

    def position_at(self, host_ns: int) -> float:
        return self.line().position_at(host_ns)

    def host_ns_at(self, position: float) -> int:
        return self.line().host_ns_at(position)
