"""Bytes from the other end of a link: frames, events and words, at real ports."""

from __future__ import annotations

import itertools
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import zmq

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Flag, audio_frame, event_frame, gap_frame
from audio_pipeline.frame_codec import HEADER, pack, parse
from audio_pipeline.links.consumer import InPort
from audio_pipeline.links.port_specs import InSpec, OutSpec
from audio_pipeline.links.producer import OutPort
from tests.fuzz.choice import Choice, mixed

RATE = 48_000
TOKEN = "secret"
MOST_QUEUED = 600  # a tap's queue of 100, and 4,800 samples of history in frames of 10
GENUINE = [
    pack(audio_frame(np.linspace(-1, 1, 20, dtype=np.float32).reshape(10, 2), 480, RATE, seq=3, captured_ns=9)),
    pack(gap_frame(480, 7, RATE, 2, flags=Flag.END, epoch=2)),
    pack(audio_frame(np.zeros((4, 1), np.float32), 1 << 40, RATE, sources=((5, 6), (7, 8)))),
    pack(event_frame({"kind": "media", "position": 5, "media_s": 1.5, "list": [1, None, "x"]}, 5, RATE)),
]
HELLO = {"t": "hello", "v": 1, "token": TOKEN, "stream": 0, "instance": 1, "since": None, "window": 5}
CREDIT = {"t": "credit", "stream": 0, "epoch": 1, "delivered": 0, "granted": 5}
WORDS = [msgpack.packb(word) for word in (HELLO, CREDIT, {"t": "bye"}, {"t": "welcome", "v": 1, "epoch": 1})]
FRAME_SEEDS = GENUINE
EVENT_SEEDS = [message[HEADER.size :] for message in GENUINE[3:]] + WORDS
WORD_SEEDS = WORDS + GENUINE


@contextmanager
def frames() -> Iterator[Callable[[bytes], None]]:
    """The frame parser: what it takes it gives back bit by bit, all else is a WireError."""

    def target(data: bytes) -> None:
        try:
            frame = parse(data)
        except WireError:
            return
        again = parse(pack(frame))
        assert again.position == frame.position and again.flags == frame.flags and again.sources == frame.sources
        assert np.array_equal(again.audio(), frame.audio(), equal_nan=True)
        assert frame.data is None or frame.data.shape == (frame.samples, frame.channels)

    yield target


@contextmanager
def events() -> Iterator[Callable[[bytes], None]]:
    """The event parser, behind a header that is right."""
    fields = list(HEADER.unpack_from(GENUINE[3]))

    def target(data: bytes) -> None:
        fields[7] = len(data)
        try:
            frame = parse(HEADER.pack(*fields) + data)
        except WireError:
            return
        assert frame.event is not None and all(isinstance(key, str) for key in frame.event)

    yield target


@contextmanager
def producer() -> Iterator[Callable[[bytes], None]]:
    """Words at an output: bytes as they are, or a word that is nearly right."""
    with zmq.Context() as context:
        counts: Counter[str] = Counter()
        spec = OutSpec("out", "inproc://fuzz", 0, RATE, 2, "song", 4800, {"a": ("drop_oldest", 10)})
        port = OutPort(context, spec, TOKEN, 1, lambda name: lambda what, amount: counts.update({what: amount}))
        frames = (replace(parse(GENUINE[0]), position=10 * number) for number in itertools.count())

        def target(data: bytes) -> None:
            choice = Choice(data)
            name, message = choice.pick(("a", "b", "c")), data[1:]
            if choice.chance(2):
                message = _word(choice)
            try:
                port.on_bytes(name, message)
            except WireError:
                pass
            port.offer(next(frames))
            assert len(port.subscriptions) <= 3
            assert all(len(sub.queue) <= MOST_QUEUED for sub in port.subscriptions.values())

        yield target
        port.close()


@contextmanager
def consumer() -> Iterator[Callable[[bytes], None]]:
    """Messages at an input, words and frames."""
    with zmq.Context() as context:
        counts: Counter[str] = Counter()
        spec = InSpec("a", "inproc://nobody", 5, "block")
        now_ns = [0]
        port = InPort(context, spec, TOKEN, 1, lambda what, amount: counts.update({what: amount}))

        def target(data: bytes) -> None:
            choice = Choice(data)
            port.on_bytes(_word(choice) if choice.chance(3) else _extreme(choice) if choice.chance(3) else data)
            while port.take() is not None:
                port.used()
            assert port.grant.delivered_through < 1 << 62
            now_ns[0] += 1 << 30
            port.send_due(now_ns[0])  # credit, or a greeting: what follows from a number has to be packed

        yield target
        port.close()


def _extreme(choice: Choice) -> bytes:
    """A frame with a number that nobody could count to."""
    message = bytearray(choice.pick(GENUINE))
    struct.pack_into("<Q", message, choice.pick((32, 40, 48)), choice.pick((1 << 53, (1 << 62) - 1, (1 << 64) - 1)))
    return bytes(message)


def _word(choice: Choice) -> bytes:
    typical: dict[str, Any] = {
        "t": ("hello", "credit", "bye", "welcome", "who", "refused", "still"),
        "v": (1,),
        "token": (TOKEN,),
        "stream": (0,),
        "instance": (1, 2),
        "since": (None, 0, 480),
        "window": (5, 0, 1 << 20),
        "policy": ("block",),
        "epoch": (1, 2),
        "delivered": (0, 1, 5, 1 << 40),
        "granted": (5, 1 << 62, (1 << 64) - 1),
        "why": ("no",),
        "greeting": (0, (1 << 62) - 1, (1 << 64) - 1),
    }
    try:
        packed: bytes = msgpack.packb(mixed(choice, typical))
    except (ValueError, OverflowError):
        packed = b""
    return packed
