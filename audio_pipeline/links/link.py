"""Links over ZeroMQ: the producer's port binds one ROUTER, each consumer's port connects a DEALER.

High-water marks bound nothing that matters here (a stalled reader at HWM 1 still swallows seconds of
audio in kernel buffers), so the only flow control is the credit of `credit.py`.
"""

from __future__ import annotations

from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.producer import OutPort
from audio_pipeline.links.words import (
    GUEST_FRAMES,
    IMPATIENT_NS,
    KEEPALIVE_NS,
    MAX_GUESTS,
    MAX_WORD_BYTES,
    PROTOCOL,
    STALLING,
    InSpec,
    OutSpec,
)

__all__ = [
    "GUEST_FRAMES", "IMPATIENT_NS", "KEEPALIVE_NS", "MAX_GUESTS", "MAX_WORD_BYTES", "PROTOCOL", "STALLING",
    "InPort", "InSpec", "OutPort", "OutSpec",
]  # fmt: skip
