"""Frames coded for a network: what comes back is what went in, in its place; and one encoder serves all listeners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audio_pipeline.errors import WireError
from audio_pipeline.frame import Format, audio_frame, gap_frame
from audio_pipeline.frame_codec import pack, parse
from audio_pipeline.gateway.codec import PACKETS, PRE_SKIP, Coding, FrameDecoder, PortEncoder, PortEncoders

RATE = 48_000
FIRST = 96_000


def music(samples: int, channels: int = 2) -> NDArray[np.float32]:
    """Gliding tones, another one on each channel."""
    t = np.arange(samples) / RATE
    sides = [0.4 * np.sin(2 * np.pi * (300 + 200 * k) * t * (1 + 0.2 * t)) for k in range(channels)]
    return np.stack(sides, axis=1).astype(np.float32)


def frames(x: NDArray[np.float32], n: int = 480, **fields: Any) -> list[bytes]:
    return [
        pack(audio_frame(x[i : i + n], FIRST + i, RATE, seq=1 + i // n, captured_ns=10**12 + i * 20_833, **fields))
        for i in range(0, len(x) - n + 1, n)
    ]


def line(messages: list[bytes], samples: int) -> NDArray[np.float32]:
    """Decoded frames, each at its position."""
    decoder, out = FrameDecoder(), np.zeros((samples, 2), np.float32)
    for message in messages:
        frame = parse(decoder.decode(message))
        at = frame.position - FIRST
        out[at : at + frame.samples, : frame.channels] = frame.audio()
    return out


def snr_db(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.sum(x.astype(float) ** 2) / np.sum((x.astype(float) - y) ** 2)))


@pytest.mark.parametrize("n", PACKETS)
@pytest.mark.parametrize("channels", [1, 2])
def test_opus_keeps_each_sample_in_its_place(n: int, channels: int) -> None:
    """A shift by one sample alone would cost more than the codec: 25 dB at 1 kHz."""
    x = music(RATE, channels)
    encoder = PortEncoder(Coding.OPUS)
    coded = [encoder.encode(message) for message in frames(x, n)]
    assert all(message[6] == Format.OPUS for message in coded) and sum(map(len, coded)) < 4 * x.nbytes / 10
    inner = slice(4_800, RATE - 2 * max(PACKETS))
    decoded = line(coded, RATE)[inner, :channels]
    fits = [snr_db(x[inner], np.roll(decoded, shift, axis=0)) for shift in (-1, 0, 1)]
    assert max(fits) == fits[1] and fits[1] > 20


def test_s16_is_right_to_half_a_step() -> None:
    x = music(4_800)
    decoded = line([PortEncoder(Coding.S16).encode(message) for message in frames(x)], 4_800)
    assert np.abs(decoded - x).max() <= 0.5 / 32768 + 1e-7


def test_one_encoder_serves_all_listeners_of_a_port() -> None:
    """Each has its own numbers; the sound is coded once."""
    encoders = PortEncoders()
    one, other = encoders.of("mix.out", Coding.OPUS), encoders.of("mix.out", Coding.OPUS)
    assert one is other and one is not None and encoders.of("mix.out", Coding.S16) is not one
    sent = frames(music(48_000))
    for message in sent:
        first, second = one.encode(message), one.encode(message)
        assert first == second
    assert one.encoded == len(sent)


def test_an_encoder_goes_with_its_last_session() -> None:
    encoders = PortEncoders()
    kept = encoders.of("mix.out", Coding.OPUS)
    again = encoders.of("mix.out", Coding.OPUS)
    assert again is kept and encoders.of("mix.out", Coding.F32) is None
    assert kept is not None
    kept.encode(frames(music(480))[0])
    del kept, again
    fresh = encoders.of("mix.out", Coding.OPUS)
    assert fresh is not None and fresh.encoded == 0


def test_a_listener_that_is_far_behind_gets_s16_and_does_not_disturb_the_others() -> None:
    x = music(48_000)
    sent, plain, shared = frames(x), PortEncoder(Coding.OPUS), PortEncoder(Coding.OPUS)
    expected = [plain.encode(message) for message in sent]
    got = []
    for number, message in enumerate(sent):
        got.append(shared.encode(message))
        if number == 90:
            late = shared.encode(sent[3])
    assert got == expected and late[6] == Format.S16


def test_a_hole_begins_anew_on_both_sides() -> None:
    x = music(48_000)
    coded = [PortEncoder(Coding.OPUS)]
    messages = [coded[0].encode(message) for i, message in enumerate(frames(x)) if not 40 <= i < 45]
    decoded = line(messages, 48_000)
    assert not decoded[40 * 480 : 45 * 480 - PRE_SKIP].any()
    behind = slice(50 * 480, 90 * 480)
    assert snr_db(x[behind], decoded[behind]) > 20


@pytest.mark.parametrize("fields", [{"rate": 44_100}, {"samples": 441}, {"channels": 3}])
def test_what_opus_has_no_packet_for_is_sent_as_s16(fields: dict[str, int]) -> None:
    x = np.zeros((fields.get("samples", 480), fields.get("channels", 2)), np.float32)
    message = pack(audio_frame(x, 0, fields.get("rate", RATE), seq=1))
    coded = PortEncoder(Coding.OPUS).encode(message)
    assert coded[6] == Format.S16 and FrameDecoder().decode(coded) == coded


def test_a_gap_stays_a_gap() -> None:
    gap = pack(gap_frame(480, 0, RATE, 2, seq=1))
    assert PortEncoder(Coding.OPUS).encode(gap) == gap == FrameDecoder().decode(gap)


@pytest.mark.parametrize("payload", [b"", b"\xff" * 50, bytes(5_000)])
def test_a_packet_that_is_none_is_a_bad_frame(payload: bytes) -> None:
    good = bytearray(PortEncoder(Coding.OPUS).encode(frames(music(480))[0])[:64])
    good[16:20] = len(payload).to_bytes(4, "little")
    try:
        parse(FrameDecoder().decode(bytes(good) + payload))
    except WireError:
        return
    assert payload == b"\xff" * 50, "libopus may find sound in noise, as long as it is as much as stated"
