"""Links over ZeroMQ: the producer's port binds one ROUTER, each consumer's port connects a DEALER.

High-water marks bound nothing that matters here (a stalled reader at HWM 1 still swallows seconds of
audio in kernel buffers), so the only flow control is the credit of `credit.py`.
"""

from __future__ import annotations

from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.messages import (
    IMPATIENT_NS,
    KEEPALIVE_NS,
    MAX_TAPS,
    MAX_WORD_BYTES,
    PROTOCOL,
    STALLING,
    TAP_FRAMES,
    InSpec,
    OutSpec,
)
from audio_pipeline.links.producer import OutPort

__all__ = [
    "TAP_FRAMES",
    "IMPATIENT_NS",
    "KEEPALIVE_NS",
    "MAX_TAPS",
    "MAX_WORD_BYTES",
    "PROTOCOL",
    "STALLING",
    "InPort",
    "InSpec",
    "OutPort",
    "OutSpec",
]
