"""Counts how often a node has failed in a row: it is restarted after a while, and in the end parked."""

from __future__ import annotations

import time
from collections.abc import Sequence

from audio_pipeline.supervisor.incident_reports import IncidentReports
from audio_pipeline.supervisor.parked import Parked
from audio_pipeline.supervisor.records import MAX_FAILURES, NodeRecord, Process


class Failures:
    """`records` are the nodes of one process, which live and die together; `culprit` is the one that failed."""

    def __init__(self, reports: IncidentReports, parked: Parked) -> None:
        self._reports, self._parked = reports, parked

    def count(self, records: Sequence[NodeRecord], culprit: NodeRecord, cause: str, child: Process | None) -> None:
        """Notes the incident."""
        self._reports.note_death(culprit, child, cause, [record.name for record in records if record is not culprit])
        for record in records:
            record.failures = 1 if record.healthy else record.failures + 1

    def go_on(self, records: Sequence[NodeRecord], culprit: NodeRecord, cause: str) -> None:
        """They come back; one that failed too often is parked, and the others of its process come back without it."""
        rest = [record for record in records if record is not culprit]
        if culprit not in records or culprit.failures <= MAX_FAILURES:
            self.retry(records)
            return
        for record in rest:
            record.failures = 0  # it was not theirs
        self.retry(rest)
        self._parked.park(culprit, cause, alone=not rest)

    def retry(self, records: Sequence[NodeRecord]) -> None:
        """All of a process at once, when the most unlucky of them may."""
        wait_s = max((record.backoff_s() for record in records), default=0.0)
        for record in records:
            record.retry_s = time.monotonic() + wait_s
