"""Headers that say nothing, too much or too little, of every kind of WAV: the file's length is the truth."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_pipeline.errors import MediaError
from audio_pipeline.files import wav_mend
from audio_pipeline.files.wav import WavWriter
from audio_pipeline.files.wav_mend import State, inspect_wav, mend
from tests.dsp.chunking import noise

RATE, N = 48_000, 1_001
KINDS = [
    (form, subtype)
    for form in ("WAV", "WAVEX", "RF64")
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
]


def made(path: Path, form: str, subtype: str, channels: int = 3) -> np.ndarray:
    """A file by libsndfile, and what it reads of it."""
    sf.write(path, noise(N, channels), RATE, subtype=subtype, format=form)
    return read(path)


def read(path: Path) -> np.ndarray:
    x: np.ndarray = sf.read(path, dtype="float64", always_2d=True)[0]
    return x


def unsized(path: Path, size: int) -> None:
    """As a recorder leaves it that died: both sizes are 0, or that no writer into a pipe knows."""
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    struct.pack_into("<I", data, 4, size)
    struct.pack_into("<I", data, at + 4, size)
    if data[:4] == b"RF64":
        data[20:44] = bytes(24)  # those of its ds64
        struct.pack_into("<I", data, at + 4, 0xFFFFFFFF)
    path.write_bytes(data[: at + 8 + 8 * (len(data[at + 8 :]) // 8)] if size else data)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
@pytest.mark.parametrize(("form", "subtype"), KINDS)
def test_a_header_without_sizes_is_mended_from_the_length(tmp_path: Path, form: str, subtype: str, size: int) -> None:
    path = tmp_path / "a.wav"
    x = made(path, form, subtype)
    assert inspect_wav(path).state is State.WHOLE and inspect_wav(path).samples == N
    unsized(path, size)
    found = inspect_wav(path)
    assert found.state is State.NO_SIZE and (found.rate, found.channels) == (RATE, 3)
    mended = mend(found)
    assert mended.state is State.WHOLE and mended.samples == found.samples >= N - 8
    assert np.array_equal(read(path), x[: mended.samples])
    assert path.stat().st_size % 2 == 0


@pytest.mark.parametrize(("form", "subtype"), KINDS)
def test_a_file_that_ends_early_says_so_and_loses_half_a_sample_alone(tmp_path: Path, form: str, subtype: str) -> None:
    path = tmp_path / "a.wav"
    x = made(path, form, subtype)
    path.write_bytes(path.read_bytes()[:-101])
    found = inspect_wav(path)
    assert found.state is State.CUT
    assert mend(found).samples == found.samples
    assert np.array_equal(read(path), x[: found.samples])


def test_an_unfinished_recording_between_two_syncs(tmp_path: Path) -> None:
    writer = WavWriter.open(tmp_path / "a.wav", RATE, 2, buffered=True)
    writer.write(noise(N, 2))
    writer.flush()
    part = tmp_path / "a.wav.part"
    assert inspect_wav(part).state is State.NO_SIZE and inspect_wav(part).samples == N
    writer.sync()
    writer.write(noise(N, 2))
    writer.flush()
    assert inspect_wav(part).state is State.BEHIND and inspect_wav(part).samples == 2 * N
    writer.close()
    assert inspect_wav(tmp_path / "a.wav").state is State.WHOLE


def test_what_lies_behind_the_sound_is_no_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    made(path, "WAV", "PCM_16")
    tail = struct.pack("<4sI4s", b"LIST", 10, b"INFO") + b"title\0"
    path.write_bytes(path.read_bytes() + tail)
    assert (inspect_wav(path).state, inspect_wav(path).samples) == (State.WHOLE, N)
    empty = bytearray(path.read_bytes())
    at = empty.index(b"data")
    path.write_bytes(bytes(empty[: at + 4]) + bytes(4) + tail)
    assert (inspect_wav(path).state, inspect_wav(path).samples) == (State.WHOLE, 0)


def test_more_than_four_gigabytes_become_rf64_with_room_or_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is lowered to 4,000 bytes, so that the copy is small."""
    monkeypatch.setattr(wav_mend, "U32", 4_000)
    roomy, tight = tmp_path / "roomy.wav", tmp_path / "tight.wav"
    with WavWriter.open(roomy, RATE, 3, "pcm16", dither=False) as writer:
        writer.write(noise(N, 3))
    made(tight, "WAV", "PCM_16")
    for path in (roomy, tight):
        sound = path.read_bytes().partition(b"data")[2][4:]
        unsized(path, 0)
        mended = mend(inspect_wav(path))
        assert (mended.state, mended.samples, mended.is_64) == (State.WHOLE, N, True)
        data = path.read_bytes()
        assert data[:4] == b"RF64" and data[12:16] == b"ds64" and data.partition(b"data")[2][4:] == sound
        assert struct.unpack_from("<QQQ", data, 20) == (len(data) - 8, 6 * N, N)


def test_a_sparse_file_beyond_four_gigabytes(tmp_path: Path) -> None:
    path, samples = tmp_path / "a.wav", (1 << 32) // 8 + 5
    WavWriter.open(path, RATE, 2).close()
    with path.open("r+b") as file:
        file.truncate(92 + 8 * samples)
        file.write(b"RIFF" + bytes(4))
    assert mend(inspect_wav(path)).samples == samples
    assert sf.info(str(path)).frames == samples and sf.info(str(path)).format == "RF64"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends inside its header"),
        (b"RIFF", "ends inside"),
        (b"OggS" + bytes(60), "is no WAV file"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "holds no PCM"),
        (b"RIFF\0\0\0\0WAVEfmt \xff\xff\xff\xff" + bytes(40), "has no sound"),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0" + bytes(12) + b"data\0\0\0\0", "holds no PCM"),
    ],
)
def test_what_is_no_wav_is_one_sentence(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(MediaError, match=message):
        inspect_wav(tmp_path / "a.wav")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 90), st.integers(0, 200))
def test_no_damage_is_worse_than_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, cut: int
) -> None:
    buffer = io.BytesIO()
    sf.write(buffer, noise(20, 2), RATE, subtype="FLOAT", format="WAV")
    data = bytearray(buffer.getvalue())
    data[at : at + len(junk)] = junk
    path = tmp_path_factory.getbasetemp() / "damaged.wav"
    path.write_bytes(data[: len(data) - cut])
    try:
        found = inspect_wav(path)
        if found.state is not State.WHOLE:
            assert mend(found).samples == found.samples
    except MediaError:
        pass
