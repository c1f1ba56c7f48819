"""Offline: what an aligned input can take without losing what was not heard yet.

A node that states less latency than it has makes the planned buffers of its siblings too small, and a hole in a
stream may be longer than any buffer: neither may leave a graph waiting for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from audio_pipeline.align.input import AlignInput

PATIENCE_NS = 1_000_000_000  # so long a full buffer waits for the other inputs before it grows
MOST_SAMPLES = 1 << 22  # 95 s at 44.1 kHz; who needs more has no end in sight


def known_through(item: AlignInput) -> int:
    """Up to which position it is known what the input holds, holes included."""
    return max(item.ring.end, item.nothing_before)


def starves(item: AlignInput, samples: int) -> bool:
    """True while the input holds less than `samples` that come next."""
    return item.ended_at is None and known_through(item) - item.ring.floor < samples


def has_capacity(item: AlignInput, position: int, samples: int) -> bool:
    """True while (samples) at `position` fit. If not, nothing will come before them: that much is known."""
    if max(position + samples, item.ring.end) - item.ring.floor <= item.capacity_samples:
        item.full_since_ns = None
        return True
    item.nothing_before = max(item.nothing_before, position)
    return False


def grow_if_stuck(
    item: AlignInput, others: Iterable[AlignInput], frame_samples: int, now_ns: int, count: Callable[[str, int], None]
) -> bool:
    """Doubles a full buffer when others have had nothing for a while; True if it did."""
    if starves(item, frame_samples) or not any(starves(other, frame_samples) for other in others):
        item.full_since_ns = None
        return False
    item.full_since_ns = now_ns if item.full_since_ns is None else item.full_since_ns
    capacity = item.capacity_samples
    if now_ns - item.full_since_ns < PATIENCE_NS or capacity >= MOST_SAMPLES:
        return False
    item.enlarge(2 * capacity)
    count("grown_samples", capacity)
    return True
