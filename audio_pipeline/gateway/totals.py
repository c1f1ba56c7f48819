"""Counters of a node from sums that somebody else keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audio_pipeline.context import Context


class Totals:
    """Counts by how much each sum has grown since the last call."""

    def __init__(self) -> None:
        self._reported: Counter[str] = Counter()

    def count(self, ctx: Context, totals: Mapping[str, int]) -> None:
        """A dot in a name becomes an underscore."""
        for name, total in totals.items():
            ctx.count(name.replace(".", "_"), total - self._reported[name])
            self._reported[name] = total
