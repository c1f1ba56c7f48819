"""Numbers that both ends of a link keep to. See `docs/protocol.md`."""

from __future__ import annotations

import zmq

from audio_pipeline.links.credit import LOSSLESS

PROTOCOL = 1
KEEPALIVE_NS = 100_000_000
IMPATIENT_NS = 20_000_000  # while the producer has not welcomed us
STALLING = ("block", LOSSLESS)
MAX_TAPS = 64
TAP_FRAMES = 100
TAPS = "taps"  # all of a port's taps count together: they come and go, and a board has room for so many names
EVENTS, POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)  # plain numbers: enum arithmetic costs on every turn
DONTWAIT, SNDMORE = int(zmq.DONTWAIT), int(zmq.SNDMORE)
MAX_MESSAGE_BYTES = 1 << 12
A_TURN = 64  # messages taken off a socket before everything else has its turn: about 2 ms
MOST = (1 << 62) - 1  # sums with it can still be packed
MOST_NS = (1 << 60) - 1  # 36 years; differences and sums of a few can be packed
MAX_STREAM = (1 << 32) - 1
