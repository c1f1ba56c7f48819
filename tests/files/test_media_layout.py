"""Surround files of every format: which channel is which comes from the decoder, and the stereo mix from that."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.files.clip import read_clip
from audio_pipeline.files.media import open_media
from tests.dsp.test_layouts import LAYOUTS, SIDES
from tests.files.encoding import encode
from tests.files.reading import read_all
from tests.shared import shared

RATE = 48_000
HZ = {name: 300 + 130 * i for i, name in enumerate(SIDES)} | {"LFE": 60}
# Each format with the layouts that it has; AAC and AC-3 filter the LFE, which is nowhere in the mix anyway.
FORMATS = {
    "a.opus": ("libopus", {"mapping_family": "1"}, ["3.0", "quad", "5.0", "5.1", "6.1", "7.1"]),
    "a.flac": ("flac", {}, ["3.0", "quad", "5.0(side)", "5.1", "5.1(side)", "6.1", "7.1", "2.1"]),
    "a.wav": ("pcm_s16le", {}, [name for name in LAYOUTS if name != "in Vorbis's order"]),
    "a.m4a": ("aac", {"b": "512k"}, ["3.0", "4.0", "5.0", "5.1", "7.1"]),
    "a.mkv": ("ac3", {"b": "640k"}, ["3.0", "3.0(back)", "quad(side)", "4.0", "5.0(side)", "5.1(side)", "2.1"]),
    "a.mp4": ("eac3", {"b": "640k"}, ["5.0(side)", "5.1(side)", "3.0"]),
    "a.wv": ("wavpack", {}, ["5.1", "7.1", "quad", "2.1"]),
    "b.m4a": ("alac", {}, ["3.0", "5.1"]),
}
CASES = [(name, layout) for name, (_, _, layouts) in FORMATS.items() for layout in layouts]


def tones(names: list[str], seconds: float = 0.5) -> np.ndarray:
    """A tone of its own in each channel."""
    t = np.arange(int(seconds * RATE)) / RATE
    return np.stack([0.1 * np.sin(2 * np.pi * HZ[name] * t) for name in names], axis=1).astype(np.float32)


def level(x: np.ndarray, hz: float) -> float:
    """Amplitude of a tone in the middle of `x`."""
    x = x[4_800:19_200]
    t = np.arange(len(x)) / RATE
    return float(2 * abs(np.mean(x * np.exp(-2j * np.pi * hz * t))))


def check_mix(x: np.ndarray, names: list[str], tolerance: float = 0.03) -> None:
    for name in names:
        left, right = SIDES[name]
        assert level(x[:, 0], HZ[name]) / 0.1 == pytest.approx(left, abs=tolerance), name
        assert level(x[:, 1], HZ[name]) / 0.1 == pytest.approx(right, abs=tolerance), name


@pytest.mark.parametrize(("name", "layout"), CASES)
def test_the_mix_of_a_surround_file(tmp_path: Path, name: str, layout: str) -> None:
    codec, options, _ = FORMATS[name]
    names = LAYOUTS[layout].split()
    encode(tmp_path / name, tones(names), RATE, codec, options, layout=layout)
    with open_media(tmp_path / name) as reader:
        x = read_all(reader)
        assert sorted(reader.layout) == sorted(names) or codec in ("ac3", "eac3", "alac", "flac", "aac")
        assert not reader.faults.sentences(name)
        check_mix(to_channels(x, 2, reader.layout), names)
    clip, _ = read_clip(tmp_path / name)
    check_mix(clip, names)


@pytest.mark.parametrize(
    ("channels", "mask", "names"),
    [
        (6, 0x3F, "FL FR FC LFE BL BR"),
        (6, 0x60F, "FL FR FC LFE SL SR"),
        (3, 0x0B, "FL FR LFE"),
        (4, 0x33, "FL FR BL BR"),
        (8, 0x63F, "FL FR FC LFE BL BR SL SR"),
        (7, 0x70F, "FL FR FC LFE BC SL SR"),
        (6, 0, "FL FR FC LFE BL BR"),
        (4, 0x107, "FL FR FC BC"),
    ],
)
def test_the_mask_of_a_wav(tmp_path: Path, channels: int, mask: int, names: str) -> None:
    """WAVE_FORMAT_EXTENSIBLE: bits of dwChannelMask in the order of the channels; none is the usual order."""
    x = (tones(names.split()) * 32_767).astype("<i2").tobytes()
    guid = bytes.fromhex("0100000000001000800000aa00389b71")
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, channels, RATE, RATE * 2 * channels, 2 * channels, 16, 22, 16, mask) + guid
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(x)) + x
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    check_mix(read_clip(tmp_path / "a.wav")[0], names.split())


def test_more_channels_than_anybody_can_place_are_said(tmp_path: Path) -> None:
    import soundfile as sf

    sf.write(tmp_path / "a.wav", np.zeros((100, 12)), RATE)
    with open_media(tmp_path / "a.wav") as reader:
        notices = reader.faults.sentences("a.wav")
    assert notices == ["a.wav: does not name its channels; of its 12 channels a stereo mix has the first two"]


def test_the_reference_of_surround() -> None:
    x, rate = read_clip(shared("cases/surround51.ogg"))
    t = np.arange(rate) / rate
    found = {
        hz: [2 * abs(np.mean(side[rate : 2 * rate] * np.exp(-2j * np.pi * hz * t))) for side in x.T]
        for hz in (300, 500, 700, 60)
    }
    one = found[300][0]
    assert np.array([found[300], found[500], found[700], found[60]]) / one == pytest.approx(
        np.array([[1, 0], [0, 1], [0.707, 0.707], [0, 0]]), abs=0.02
    )
