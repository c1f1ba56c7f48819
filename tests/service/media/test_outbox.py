"""What waits for a peer: in order, bounded, and silent where it waited for too long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.frame import Flag, audio_frame, event_frame, gap_frame
from audio_pipeline.frame_codec import MAX_AGE_US, pack, parse
from audio_pipeline.service.media.outbox import MOST_BYTES, MOST_MESSAGES, STALE_NS, Outbox

MS = 1_000_000


def sound(seq: int = 1, **fields: int) -> bytes:
    return pack(audio_frame(np.ones((480, 2), np.float32), seq * 480, 48_000, seq=seq, epoch=1, stream=3, **fields))


def taken(message: bytes, put_ns: int, take_ns: int) -> bytes | str | None:
    box = Outbox()
    assert box.put(message, put_ns)
    return box.take(take_ns)


def test_sound_that_waited_here_for_too_long_keeps_its_place_and_loses_its_samples() -> None:
    assert taken(sound(), 0, STALE_NS) == sound()
    late = taken(sound(), 0, STALE_NS + 1)
    assert isinstance(late, bytes)
    frame = parse(late)
    assert (frame.seq, frame.position, frame.samples, frame.stream, frame.channels) == (1, 480, 480, 3, 2)
    assert frame.data is None and frame.flags == Flag.GAP | Flag.DISCONTINUITY


def test_what_it_waited_at_the_producer_counts_as_well() -> None:
    """Captured at 1 s, queued 20 ms later: 100 ms old at 1.12 s, whenever it came here."""
    frame = sound(captured_ns=1_000 * MS, sent_age_us=20_000)
    assert taken(frame, 1_170 * MS, 1_170 * MS) == frame
    assert taken(frame, 1_171 * MS, 1_171 * MS) != frame
    unknown = sound(captured_ns=1_000 * MS, sent_age_us=MAX_AGE_US)
    assert taken(unknown, 9_000_000 * MS, 9_000_000 * MS) == unknown, "an age that the header has no room for"


@pytest.mark.parametrize(
    "message",
    [
        pack(event_frame({"kind": "media"}, 0, 48_000, seq=1, epoch=1)),
        pack(gap_frame(0, 0, 48_000, 2, seq=1, epoch=1)),
        pack(gap_frame(0, 0, 48_000, 2, seq=1, epoch=1, flags=Flag.END)),
        sound(flags=Flag.REPLAY),
        b"APF1",
    ],
)
def test_events_ends_and_history_are_never_stale(message: bytes) -> None:
    assert taken(message, 0, 100 * STALE_NS) == message


def test_it_takes_so_much_and_no_more() -> None:
    box = Outbox()
    assert [box.put("x", 0) for _ in range(MOST_MESSAGES + 1)] == [True] * MOST_MESSAGES + [False]
    big = Outbox()
    assert big.put(bytes(MOST_BYTES), 0) and not big.put("x", 0)
    big.take(0)
    assert big.put("x", 0)


@given(st.lists(st.binary(min_size=1, max_size=100) | st.text(min_size=1, max_size=100), max_size=50))
def test_everything_leaves_in_its_order(messages: list[bytes | str]) -> None:
    box = Outbox()
    for message in messages:
        box.put(message, 0)
    assert [box.take(0) for _ in messages] == messages and box.take(0) is None and len(box) == 0
