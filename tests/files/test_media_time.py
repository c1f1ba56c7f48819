"""Time stamps are the truth: gaps are silence, the start offset too; length, position and seek agree."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio_pipeline.errors import MediaError
from audio_pipeline.files.media import open_media
from audio_pipeline.files.media_facts import Facts
from audio_pipeline.files.media_faults import STAMP, Faults
from audio_pipeline.files.media_line import Line
from tests.files.encoding import encode_parts
from tests.files.reading import read_all
from tests.shared import shared

RATE = 48_000
# name: codec, whether its zero is the start of the film (elsewhere it is that of the sound)
KINDS = {
    "gap.m4a": ("aac", True),
    "gap.mp4": ("aac", True),
    "gap.mka": ("aac", True),
    "gap.mkv": ("flac", True),
    "gap.webm": ("libopus", True),
    "gap.ts": ("aac", False),
    "gap.flv": ("aac", True),
    "gap.nut": ("aac", True),
    "gap.opus": ("libopus", True),
}


def tone(seconds: float, hz: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    return np.repeat((0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[:, None], 2, axis=1)


def stretches(x: np.ndarray, rate: int) -> list[tuple[float, float]]:
    """Seconds from which on and to which there is sound."""
    on = np.flatnonzero(np.abs(x[:, 0]) > 0.03) / rate
    breaks = np.flatnonzero(np.diff(on) > 0.2)
    starts, ends = [on[0], *on[breaks + 1]], [*on[breaks], on[-1]]
    return list(zip(starts, ends, strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_gaps_and_a_late_start_are_silence(tmp_path: Path, name: str) -> None:
    """One second of sound from 0.5 s on, one from 3 s on; a codec's own delay and last packet are worth 50 ms."""
    codec, from_zero = KINDS[name]
    pieces = [(0.5, tone(1, 440)), (3.0, tone(1, 880))]
    path = encode_parts(tmp_path / name, [("eng", pieces)], RATE, codec)
    late = 0.5 if from_zero else 0.0
    with open_media(path) as reader:
        x = read_all(reader)
        notices = reader.faults.sentences(name)
        found = stretches(x, reader.rate)
        assert np.ravel(found) == pytest.approx([late, late + 1, late + 2.5, late + 3.5], abs=0.08)
        assert reader.position == len(x) and len(x) / reader.rate == pytest.approx(late + 3.5, abs=0.08)
        assert reader.samples in (None, len(x))
        assert len(notices) == 1 and "1 gap in its time stamps, 1.5" in notices[0], notices
        for place in (0, 10_000, int(late * RATE) + 30_000, 100_000, len(x) - 2_000, 90_000):
            reader.seek(place)
            y = reader.read(1_500)
            assert reader.position == place + len(y)
            assert np.abs(y - x[place : place + len(y)]).max() < 1e-4  # -80 dB: a codec's state after a jump


def test_a_gap_of_the_reference_film() -> None:
    with open_media(shared("cases/gap_in_time.mp4")) as reader:
        x = read_all(reader)
    assert len(x) == reader.samples == 307_950
    assert np.ravel(stretches(x, 44_100)) == pytest.approx([0, 2, 5, 7], abs=0.08)


def test_sound_that_begins_after_the_picture(tmp_path: Path) -> None:
    """In a container of arbitrary zero the start of the film is that of whatever comes first in it."""
    tracks = [("eng", [(0.0, tone(1, 440))]), ("deu", [(0.75, tone(1, 880))])]
    path = encode_parts(tmp_path / "a.ts", tracks, RATE, "aac")
    with open_media(path, track=2) as reader:
        assert stretches(read_all(reader), RATE)[0][0] == pytest.approx(0.75, abs=0.08)


def test_a_track_is_chosen_by_its_number(tmp_path: Path) -> None:
    tracks = [("eng", [(0.0, tone(0.5, 440))]), ("deu", [(0.0, tone(0.5, 1_760))])]
    path = encode_parts(tmp_path / "film.mkv", tracks, RATE, "aac")
    crossings = []
    for track in (1, 2):
        with open_media(path, track=track) as reader:
            x = read_all(reader)[4_800:19_200, 0]
        crossings.append(np.count_nonzero(np.diff(np.sign(x))))
    assert crossings == pytest.approx([264, 1_056], rel=0.02)  # two a period, 0.3 s
    with pytest.raises(MediaError, match=r"no audio track 3 .*; its tracks are 1 \(eng, aac, stereo\), 2 \(deu, aac"):
        open_media(path, track=3)


def test_one_odd_stamp_makes_no_hour_of_silence(tmp_path: Path) -> None:
    """A stamp that the next one contradicts, and a clock that begins anew, as in a Matroska file put together badly."""
    path = encode_parts(tmp_path / "a.mka", [("eng", [(0.0, tone(2, 440))])], RATE, "aac")
    data = bytearray(path.read_bytes())
    blocks = [at for at in range(len(data) - 8) if data[at] == 0xA3 and data[at + 2 : at + 4] == b"\x81\x00"]
    blocks += [at for at in range(len(data) - 8) if data[at] == 0xA3 and data[at + 3] == 0x81 and data[at + 1] & 0x40]
    assert len(blocks) > 40
    at = sorted(blocks)[20]
    stamp = data.index(0x81, at + 1) + 1
    data[stamp : stamp + 2] = struct.pack(">h", 32_000)
    path.write_bytes(data)
    with open_media(path) as reader:
        x = read_all(reader)
    assert len(x) / RATE == pytest.approx(2.0, abs=0.1)


SIZES = {"of zero": 0, "unknown": 0xFFFFFFFF, "beyond the end": 10_000_000, "odd": None, "that stop short": 1_000}


def test_no_stamp_makes_days_of_silence_whatever_the_header_says() -> None:
    """An MP4 may declare ten years: a gap of that length is a clock that began anew, one of an hour is a gap."""
    facts = Facts(
        zero_s=0.0,
        end_s=10 * 365 * 86_400.0,
        tolerance_s=0.008,
        rounding_s=0.0,
        length_s=None,
        header_s=None,
        share=1.0,
        jumps=True,
        has_gaps=True,
        skips=False,
    )
    faults = Faults()
    line = Line(1_000, facts, faults)
    line.add(1_000)
    assert line.correction(5 * 365 * 86_400.0, 10, None) == 0 and faults.tallies[STAMP].count == 1
    assert Line(1_000, facts, faults).correction(3_600.0, 10, None) == 3_600_000


@pytest.mark.parametrize("length_s", [-1.0, 0.0, None])
def test_a_declared_length_that_is_none_is_not_one(length_s: float | None) -> None:
    """An Opus of one packet that is cut within its pre-skip declares less than nothing."""
    facts = Facts(
        zero_s=0.0,
        end_s=None,
        tolerance_s=0.008,
        rounding_s=0.0,
        length_s=length_s,
        header_s=None,
        share=1.0,
        jumps=True,
        has_gaps=False,
        skips=False,
    )
    assert facts.samples(RATE) is None


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "GSM610"])
def test_a_wav_is_read_to_the_end_of_the_file(tmp_path: Path, name: str, subtype: str) -> None:
    """Sizes of a recorder that died, or of one that never knew them."""
    x = np.random.default_rng(0).standard_normal((16_000, 1)) * 0.1
    sf.write(tmp_path / "a.wav", x, 8_000, subtype=subtype)
    with open_media(tmp_path / "a.wav") as reader:
        whole = read_all(reader)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at, size = data.index(b"data") + 4, SIZES[name]
    size = struct.unpack_from("<I", data, at)[0] - 1 if size is None else size
    data[at : at + 4], data[4:8] = struct.pack("<I", size), struct.pack("<I", min(size, 0xFFFFFFFF))
    (tmp_path / "a.wav").write_bytes(data)
    with open_media(tmp_path / "a.wav") as reader:
        y = read_all(reader)
        notices = reader.faults.sentences("a.wav")
    same = min(len(whole), len(y)) - 320  # the last block of GSM is not whole where its last byte is missing
    assert abs(len(y) - 16_000) < 1_000 and np.array_equal(y[:same], whole[:same])
    assert bool(notices) == (name == "beyond the end" or (name, subtype) == ("odd", "GSM610")), notices


@pytest.mark.parametrize("tail", [b"", b"LIST\x04\x00\x00\x00INFO"])
def test_a_song_without_a_sample_is_an_error(tmp_path: Path, tail: bytes) -> None:
    sf.write(tmp_path / "a.wav", np.zeros((0, 2)), RATE)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes() + tail)
    with pytest.raises(MediaError, match=r"a\.wav: holds no sound, not one sample"):
        open_media(tmp_path / "a.wav")


@pytest.mark.parametrize("kind", ["RF64", "W64", "AIFF", "CAF", "AU"])
def test_large_and_other_headers(tmp_path: Path, kind: str) -> None:
    x = (np.random.default_rng(0).standard_normal((5_001, 3)) * 0.1).astype(np.float32)
    sf.write(tmp_path / "a.bin", x, RATE, subtype="FLOAT", format=kind)
    with open_media(tmp_path / "a.bin") as reader:
        assert reader.samples == 5_001
        assert np.array_equal(read_all(reader), x)


def test_gsm_of_the_reference() -> None:
    with open_media(shared("cases/gsm610.wav")) as reader:
        assert len(read_all(reader)) == 17 * 8_000
