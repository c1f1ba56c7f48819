"""Uploads: decoded in a process with limits, kept under random ids, shown by the names that their users gave."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.service.uploads import Uploads

RATE = 22_050


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "files")


def wav(seconds: float = 0.2, peak: float = 0.5) -> bytes:
    t = np.arange(int(seconds * RATE)) / RATE
    out = io.BytesIO()
    soundfile.write(out, peak * np.sin(2 * np.pi * 440 * t), RATE, format="WAV", subtype="FLOAT")
    return out.getvalue()


def put(uploads: Uploads, content: bytes, name: str = "a.wav") -> object:
    part = uploads.part()
    part.write_bytes(content)
    return uploads.take_in(part, name)


def test_the_sound_is_what_was_uploaded(uploads: Uploads) -> None:
    """24 bits: 20 log10(2^23) = 138 dB below full scale, so that the error stays under -130 dB."""
    put(uploads, wav(), "../../etc/passwd\x1b[2J")
    (found,) = uploads.all()
    assert (found.name, found.rate, found.channels) == ("../../etc/passwd[2J", RATE, 1)
    assert found.seconds == pytest.approx(0.2, abs=1e-3)
    sound, rate = soundfile.read(uploads.path(found.id))
    original, _ = soundfile.read(io.BytesIO(wav()))
    assert rate == RATE and np.max(np.abs(sound - original)) < 10 ** (-130 / 20)


def test_what_is_beyond_full_scale_is_cut_and_nan_is_silence(uploads: Uploads) -> None:
    samples = np.array([0.0, 2.0, np.nan, -3.0, np.inf] * 100, np.float32)
    out = io.BytesIO()
    soundfile.write(out, samples, RATE, format="WAV", subtype="FLOAT")
    put(uploads, out.getvalue())
    sound, _ = soundfile.read(uploads.path(uploads.all()[0].id))
    assert np.isfinite(sound).all() and np.max(np.abs(sound)) <= 1.0


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"<?xml version='1.0'?><MPD><BaseURL>http://127.0.0.1/x</BaseURL></MPD>",
        b"\0" * 4_096,
        b"RIFF\xff\xff\xff\xffWAVEfmt ",
        b"",
    ],
)
def test_what_is_no_sound_is_refused_and_leaves_nothing(uploads: Uploads, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        put(uploads, content)
    assert str(tmp_path) not in str(caught.value)
    assert list((tmp_path / "files").iterdir()) == []


@pytest.mark.parametrize("number", ["", "..", "../x", "0123456789ABCDEF", "0123456789abcdef", "x" * 16, "a\0b"])
def test_only_ids_that_were_given_out_name_a_file(uploads: Uploads, number: str) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        uploads.path(number)
    assert not uploads.delete(number)


def test_a_file_that_is_deleted_is_gone(uploads: Uploads) -> None:
    put(uploads, wav())
    (found,) = uploads.all()
    assert uploads.known(f"{found.id}.flac") == found
    assert uploads.delete(found.id) and uploads.all() == []


def test_what_a_dead_process_left_in_the_middle_is_removed(uploads: Uploads, tmp_path: Path) -> None:
    part = uploads.part()
    Uploads(tmp_path / "files")
    assert not part.exists()
