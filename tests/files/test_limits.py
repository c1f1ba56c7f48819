"""No file decides how much memory a reader takes: rate, channels and samples x channels are bounded everywhere."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.dsp import limits
from audio_pipeline.errors import MediaError
from audio_pipeline.files.clip import read_clip
from audio_pipeline.files.media import open_media
from audio_pipeline.models.voices.sample import unpacked


def wav(rate: int, channels: int, samples: int = 1000) -> bytes:
    """A 16-bit WAV of any rate and channel count, which no writer would make."""
    size = 2 * channels * samples
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * rate * channels % 2**32, 2 * channels, 16)
    return b"RIFF" + struct.pack("<I4s", 36 + size, b"WAVE") + head + struct.pack("<4sI", b"data", size) + bytes(size)


def flac(rate: int, channels: int, samples: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((samples, channels), np.int16), rate, "PCM_16", format="FLAC")
    return buffer.getvalue()


OUTSIDE = {
    "1 Hz": (wav(1, 2), "has a rate of 1 Hz, expected 4000 to 384000 Hz"),
    "3999 Hz": (wav(3_999, 1), "has a rate of 3999 Hz"),
    "384001 Hz": (wav(384_001, 1), "has a rate of 384001 Hz"),
    "2 GHz": (wav(2_000_000_000, 1), "has a rate of 2000000000 Hz"),
    "33 channels": (wav(8_000, 33), "has 33 channels, expected 1 to 32"),
    "500 channels": (wav(8_000, 500), "has 500 channels"),
    "a FLAC of 655,350 Hz": (flac(655_350, 8, 5_000), "has a rate of 655350 Hz"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_rate_or_a_channel_count_outside_is_one_sentence(tmp_path: Path, name: str) -> None:
    data, message = OUTSIDE[name]
    (tmp_path / "x.wav").write_bytes(data)
    for reading in (open_media, read_clip):
        with pytest.raises(MediaError, match=f"^{tmp_path}/x.wav: {message}"):
            reading(tmp_path / "x.wav")
    with pytest.raises(MediaError, match=f"^the sample: {message}"):
        unpacked(data, "the sample")


@pytest.mark.parametrize(("rate", "channels"), [(4_000, 1), (384_000, 1), (8_000, 32)])
def test_what_lies_on_the_edge_is_read(tmp_path: Path, rate: int, channels: int) -> None:
    (tmp_path / "x.wav").write_bytes(wav(rate, channels))
    assert read_clip(tmp_path / "x.wav")[0].shape == (1_000, min(channels, 2))
    assert unpacked(wav(rate, channels), "x")[0].shape == (1_000, channels)


def test_a_clip_is_bounded_in_samples_times_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_VALUES", 16_000)
    (tmp_path / "x.flac").write_bytes(flac(48_000, 8, 2_001))
    with pytest.raises(MediaError, match=r"x\.flac: is longer than 0\.04167 s, .* 8 channels at 48000 Hz"):
        read_clip(tmp_path / "x.flac")
    (tmp_path / "x.flac").write_bytes(flac(48_000, 8, 2_000))
    assert len(read_clip(tmp_path / "x.flac")[0]) == 2_000


def test_of_packed_sound_that_is_too_long_the_beginning_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(unpacked(flac(8_000, 1, 20_000), "x", 2)[0]) == 16_000
    monkeypatch.setattr(limits, "MOST_VALUES", 1_000)
    assert len(unpacked(flac(8_000, 2, 20_000), "x", 2)[0]) == 500
