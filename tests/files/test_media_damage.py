"""Damage of any kind in any format: never a crash, never an early end without a word, and the rest in its place."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import MediaError
from audio_pipeline.files.media import open_media
from tests.files.encoding import encode, signal
from tests.files.reading import read_all
from tests.shared import shared

SECONDS = 2.0
VBR = {"flags": "+qscale", "global_quality": "236"}
# name: codec, rate, its options, most bytes at its end without which the sound is cut short unseen
FORMATS: dict[str, tuple[str, int, dict[str, str]]] = {
    "a.mp3": ("libmp3lame", 44_100, {"b": "128000"}),
    "vbr.mp3": ("libmp3lame", 44_100, VBR),
    "a.aac": ("aac", 44_100, {}),
    "a.m4a": ("aac", 44_100, {}),
    "alac.m4a": ("alac", 44_100, {}),
    "a.flac": ("flac", 44_100, {}),
    "a.ogg": ("vorbis", 44_100, {}),
    "a.opus": ("libopus", 48_000, {}),
    "a.oga": ("flac", 44_100, {}),
    "a.wav": ("pcm_s16le", 44_100, {}),
    "adpcm.wav": ("adpcm_ms", 44_100, {}),
    "a.mka": ("aac", 44_100, {}),
    "flac.mkv": ("flac", 44_100, {}),
    "a.webm": ("libopus", 48_000, {}),
    "a.ac3": ("ac3", 48_000, {}),
    "a.ts": ("aac", 48_000, {}),
    "a.wma": ("wmav2", 44_100, {}),
    "a.aiff": ("pcm_s16be", 44_100, {}),
    "a.caf": ("pcm_s16le", 44_100, {}),
    "a.w64": ("pcm_s16le", 44_100, {}),
    "a.tta": ("tta", 44_100, {}),
    "a.wv": ("wavpack", 44_100, {}),
    "a.au": ("pcm_s16be", 44_100, {}),
    "a.flv": ("aac", 44_100, {}),
    "a.avi": ("mp3", 44_100, {}),
    "a.mp2": ("mp2", 44_100, {}),
}
SELF_CONTAINED = [
    "a.mp3",
    "vbr.mp3",
    "a.aac",
    "a.flac",
    "a.wav",
    "a.ac3",
    "a.ts",
    "a.mka",
    "flac.mkv",
    "a.webm",
    "a.m4a",
    "a.opus",
    "a.aiff",
    "a.caf",
    "a.w64",
    "a.au",
    "a.mp2",
    "adpcm.wav",
    "a.flv",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One file of each format."""
    folder = tmp_path_factory.mktemp("whole")
    return {
        name: encode(folder / name, signal(SECONDS, rate), rate, codec, options).read_bytes()
        for name, (codec, rate, options) in FORMATS.items()
    }


def damaged(data: bytes, kind: str, rng: random.Random) -> bytes:
    """Some damage behind the header, or in it."""
    out, head = bytearray(data), min(800, len(data) // 4)
    at, length = rng.randrange(head, len(data)), rng.randint(1, 1_500)
    if kind == "bytes":
        for _ in range(rng.randint(1, 10)):
            out[rng.randrange(head, len(out))] = rng.randrange(256)
    elif kind == "header":
        for _ in range(rng.randint(1, 4)):
            out[rng.randrange(head)] = rng.randrange(256)
    elif kind == "zeros":
        out[at : at + length] = bytes(len(out[at : at + length]))
    elif kind == "noise":
        out[at : at + length] = rng.randbytes(len(out[at : at + length]))
    elif kind == "cut":
        del out[at:]
    elif kind == "lost":
        del out[at : at + length]
    elif kind == "inserted":
        out[at:at] = rng.randbytes(length)
    return bytes(out)


UNTOLD = ("a.ac3", "a.mp2", "a.avi", "a.wma")  # nothing in these tells how long they were
KINDS = ("bytes", "header", "zeros", "noise", "cut", "lost", "inserted")


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", FORMATS)
def test_any_damage_is_read_through_or_said(whole: dict[str, bytes], tmp_path: Path, name: str, times: int) -> None:
    """Of each kind: an error is one sentence; what ends early by more than a few packets says so."""
    rng, path = random.Random(name), tmp_path / name
    for kind in KINDS * times:
        path.write_bytes(damaged(whole[name], kind, rng))
        try:
            with open_media(path) as reader:
                x = read_all(reader)
                notices = reader.faults.sentences(name)
                seconds = len(x) / reader.rate
                reader.seek(len(x) // 2)
                reader.read(100)
        except MediaError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            continue
        assert np.isfinite(x).all()
        assert seconds < 3 * SECONDS + 2 or kind == "header", (kind, seconds, notices)
        if seconds < SECONDS - 0.3:
            assert notices or (kind == "header" or name in UNTOLD), (kind, seconds)


@pytest.mark.parametrize("name", SELF_CONTAINED)
def test_a_few_bad_bytes_cost_a_few_packets(whole: dict[str, bytes], tmp_path: Path, name: str) -> None:
    """40 bytes of noise in the middle: the length stays, and what lies well behind is where and what it was."""
    rng, path = random.Random(1), tmp_path / name
    path.write_bytes(whole[name])
    with open_media(path) as reader:
        expected, rate = read_all(reader), reader.rate
    data = bytearray(whole[name])
    middle = len(data) * 2 // 5
    data[middle : middle + 40] = rng.randbytes(40)
    path.write_bytes(data)
    with open_media(path) as reader:
        x = read_all(reader)
        notices = reader.faults.sentences(name)
    assert abs(len(x) - len(expected)) <= 0.03 * rate, notices
    tail = slice(round(1.4 * rate), round(1.75 * rate))
    power = np.mean(expected[tail] ** 2)
    assert np.mean((x[tail] - expected[tail]) ** 2) < 0.01 * power, "20 dB: a codec's state may differ, places may not"
    differs = np.flatnonzero(np.abs(x[: len(expected)] - expected[: len(x)]).max(axis=1) > 0.05)
    assert len(differs) == 0 or (differs[-1] - differs[0]) / rate < 0.45


@pytest.mark.parametrize("name", ["a.mp3", "a.aac", "a.flac", "a.ogg", "a.opus", "a.wav", "a.webm", "a.ac3", "a.mp2"])
@pytest.mark.parametrize("junk", ["noise", "zeros", "text"])
def test_junk_ahead_of_the_first_frame(whole: dict[str, bytes], tmp_path: Path, name: str, junk: str) -> None:
    size = 65_536
    text = b"<html>not yet</html>" * (size // 20)
    ahead = {"noise": random.Random(3).randbytes(size), "zeros": bytes(size), "text": text}[junk]
    (tmp_path / name).write_bytes(ahead + whole[name])
    with open_media(tmp_path / name) as reader:
        x = read_all(reader)
        expected = signal(SECONDS, reader.rate)
    assert len(x) / reader.rate == pytest.approx(SECONDS, abs=0.12)
    spans = [np.sqrt(np.mean(x[at : at + 4_410] ** 2)) for at in range(0, 80_000, 4_410)]
    wanted = [np.sqrt(np.mean(expected[at : at + 4_410] ** 2)) for at in range(0, 80_000, 4_410)]
    assert np.corrcoef(spans, wanted)[0, 1] > 0.7


@pytest.mark.parametrize("name", ["a.mp3", "a.aac", "a.flac", "a.opus", "a.wav", "a.webm", "a.ts", "a.caf", "a.w64"])
def test_a_file_that_breaks_off_says_so(whole: dict[str, bytes], tmp_path: Path, name: str) -> None:
    data = whole[name]
    (tmp_path / name).write_bytes(data[: len(data) * 3 // 5 + 3])
    with open_media(tmp_path / name) as reader:
        x = read_all(reader)
        notices = " ".join(reader.faults.sentences(name))
    assert 0.3 < len(x) / reader.rate < 1.6
    assert "ends at" in notices or "breaks off" in notices or "damaged" in notices, notices


@pytest.mark.parametrize("tail", range(4, 16, 4))
def test_a_flash_film_cut_between_two_packets_says_so(whole: dict[str, bytes], tmp_path: Path, tail: int) -> None:
    """Wherever in the head of a packet: FFmpeg takes that for the end, so the header's length has to tell."""
    data, at, size, end = whole["a.flv"], len(whole["a.flv"]) // 2, -1, 0
    while int.from_bytes(data[end : end + 4], "big") != size:  # the length of a tag stands behind it as well
        at = data.find(b"\x08", at + 1)
        size = 11 + int.from_bytes(data[at + 1 : at + 4], "big")
        end = at + size
    (tmp_path / "a.flv").write_bytes(data[: end + tail])
    with open_media(tmp_path / "a.flv") as reader:
        assert len(read_all(reader)) / reader.rate < SECONDS - 0.3
        assert reader.faults.sentences("a.flv")


@pytest.mark.parametrize("name", ["a.m4a", "alac.m4a"])
def test_an_empty_packet_is_not_the_end(whole: dict[str, bytes], tmp_path: Path, name: str) -> None:
    """A sample of no bytes in an MP4, with its sound given to the one behind it: one frame of silence."""
    data = bytearray(whole[name])
    table = data.find(b"stsz") + 16
    at = table + 4 * (int.from_bytes(data[table - 4 : table], "big") // 2)
    sizes = [int.from_bytes(data[at + i : at + i + 4], "big") for i in (0, 4)]
    data[at : at + 8] = bytes(4) + sum(sizes).to_bytes(4, "big")
    (tmp_path / name).write_bytes(data)
    with open_media(tmp_path / name) as reader:
        x = read_all(reader)
        assert len(x) == reader.samples == SECONDS * 44_100
        assert reader.faults.damaged_frames == 1
    tail = slice(round(1.5 * 44_100), round(1.75 * 44_100))
    (tmp_path / name).write_bytes(whole[name])
    with open_media(tmp_path / name) as reader:
        expected = read_all(reader)[tail]
    assert np.mean((x[tail] - expected) ** 2) < 1e-3 * np.mean(expected**2)


def test_damage_is_counted_once_however_often_it_is_met(whole: dict[str, bytes], tmp_path: Path) -> None:
    data = bytearray(whole["a.flac"])
    data[len(data) // 2 : len(data) // 2 + 40] = random.Random(1).randbytes(40)
    (tmp_path / "a.flac").write_bytes(data)
    with open_media(tmp_path / "a.flac") as reader:
        for _ in range(3):
            reader.seek(0)
            read_all(reader)
        assert reader.faults.damaged_frames == 1


def test_the_reference_of_a_bad_frame() -> None:
    with open_media(shared("cases/bad_frame.mp3")) as reader:
        x = read_all(reader)
        assert len(x) == reader.samples == 12 * 44_100
        assert reader.faults.damaged_frames == 1
        reader.seek(8 * 44_100)
        assert np.abs(reader.read(4_410) - x[8 * 44_100 : 8 * 44_100 + 4_410]).max() < 1e-4
