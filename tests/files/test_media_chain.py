"""Recordings joined end to end, and formats that change on the way: all of it is read, in the format of the first."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.files.media import open_media
from audio_pipeline.files.media_faults import CHANGE
from audio_pipeline.files.media_ogg import MOST_FALSE, checksum, survey
from tests.files.encoding import encode, signal
from tests.files.reading import read_all
from tests.shared import shared

# name of each link: container, codec, rate, channels
LINKS = {
    "vorbis": ("ogg", "vorbis", 44_100, 2),
    "mono": ("ogg", "vorbis", 22_050, 1),
    "opus": ("opus", "libopus", 48_000, 2),
    "opus mono": ("opus", "libopus", 48_000, 1),
    "flac": ("oga", "flac", 44_100, 2),
    "flac 48": ("oga", "flac", 48_000, 1),
}
CHAINS = [
    ("vorbis", "vorbis"),
    ("opus", "opus"),
    ("flac", "flac"),
    ("vorbis", "mono"),
    ("mono", "vorbis"),
    ("opus", "vorbis"),
    ("flac", "flac 48", "opus mono"),
    ("opus", "opus mono", "mono", "flac"),
]


def link(folder: Path, name: str, seconds: float) -> bytes:
    kind, codec, rate, channels = LINKS[name]
    return encode(folder / f"link.{kind}", signal(seconds, rate, channels), rate, codec).read_bytes()


@pytest.mark.parametrize("names", CHAINS, ids="-".join)
def test_chained_ogg_is_whole(tmp_path: Path, names: tuple[str, ...]) -> None:
    seconds = [1.0, 1.5, 0.7, 0.9][: len(names)]
    parts = [link(tmp_path, name, length) for name, length in zip(names, seconds, strict=True)]
    (tmp_path / "joined.ogg").write_bytes(b"".join(parts))
    _, _, rate, channels = LINKS[names[0]]
    with open_media(tmp_path / "joined.ogg") as reader:
        x = read_all(reader)
        notices = reader.faults.sentences("joined.ogg")
        assert (reader.rate, reader.channels) == (rate, channels)
        assert reader.samples == reader.position == len(x)
        assert len(x) / rate == pytest.approx(sum(seconds), abs=1e-3)
        at = 0.0
        for name, length in zip(names, seconds, strict=True):
            check_part(x[round(at * rate) : round((at + length) * rate)], rate, LINKS[name][3])
            at += length
        assert bool(notices) == any(LINKS[a][2:] != LINKS[b][2:] for a, b in pairwise(names)), notices
        for place in (0, len(x) - 1_000, rate // 2, round(1.2 * rate), 10, round(1.02 * rate)):
            reader.seek(place)
            y = reader.read(900)
            assert reader.position == place + len(y) and len(y) >= 900
            assert np.abs(y - x[place : place + 900]).max() < 2e-5  # -94 dB


def check_part(x: np.ndarray, rate: int, channels: int) -> None:
    """A link's own signal at its own place: within 20 dB of what was coded, at any rate that it is converted to."""
    expected = signal(len(x) / rate, rate, channels)[: len(x)]
    expected = expected.mean(axis=1) if x.shape[1] == 1 else expected[:, 0]
    middle = slice(len(x) // 10, len(x) * 7 // 10)
    error = x[middle, 0] - expected[middle]
    assert np.mean(error**2) < 0.05 * np.mean(expected[middle] ** 2)


def test_the_reference_recording() -> None:
    with open_media(shared("cases/joined.ogg")) as reader:
        assert reader.samples == len(read_all(reader)) == 5 * 44_100


@pytest.mark.parametrize("block", [1, 17, 480, 1024])
def test_block_sizes_change_nothing_across_links(tmp_path: Path, block: int) -> None:
    (tmp_path / "a.ogg").write_bytes(link(tmp_path, "flac", 0.02) + link(tmp_path, "flac 48", 0.03))
    with open_media(tmp_path / "a.ogg") as reader:
        whole = read_all(reader, 1 << 30)
    with open_media(tmp_path / "a.ogg") as reader:
        np.testing.assert_array_equal(read_all(reader, block), whole)


def test_a_link_that_is_no_sound_is_left_out(tmp_path: Path) -> None:
    first, second = link(tmp_path, "flac", 0.5), link(tmp_path, "flac", 0.25)
    bad = bytearray(link(tmp_path, "flac", 0.5))
    bad[40:80] = bytes(40)  # its STREAMINFO
    (tmp_path / "a.ogg").write_bytes(first + bad + second)
    with open_media(tmp_path / "a.ogg") as reader:
        x = read_all(reader)
        assert 0.75 * 44_100 <= len(x) <= 1.3 * 44_100
        assert reader.faults.sentences("a.ogg")


@pytest.mark.parametrize("broken", [(0,), (1,), (2,), (0, 1), (1, 2)])
def test_seeks_around_links_that_cannot_be_read(tmp_path: Path, broken: tuple[int, ...]) -> None:
    """Whichever it is: the others lie one behind the other, every place is what a straight pass reads there."""
    parts = [bytearray(link(tmp_path, "flac", length)) for length in (0.3, 0.5, 0.4)]
    for i in broken:
        parts[i][40:80] = bytes(40)  # its STREAMINFO
    (tmp_path / "a.ogg").write_bytes(b"".join(parts))
    with open_media(tmp_path / "a.ogg") as reader:
        x = read_all(reader)
        assert len(x) >= 44_100 * sum(length for i, length in enumerate((0.3, 0.5, 0.4)) if i not in broken)
        for place in (len(x) - 1_000, 10, len(x) // 2, 30_000, 13_230, 13_229, 100, len(x)):
            reader.seek(place)
            assert reader.position == min(place, len(x))
            np.testing.assert_array_equal(reader.read(900), x[place : place + 900])


def undecodable(folder: Path, length: float) -> bytes:
    """A link whose pages are sound, and of whose Vorbis no version is known."""
    data = bytearray(link(folder, "vorbis", length))
    at = data.find(b"\x01vorbis") + 7
    data[at : at + 4] = b"\xff" * 4
    page = bytes(data[: 27 + data[26] + sum(data[27 : 27 + data[26]])])
    data[22:26] = checksum(page)
    return bytes(data)


@pytest.mark.parametrize("place", range(3))
def test_a_link_that_no_decoder_opens_is_left_out_and_said(tmp_path: Path, place: int) -> None:
    parts = [link(tmp_path, "vorbis", 0.5), link(tmp_path, "vorbis", 0.7)]
    parts.insert(place, undecodable(tmp_path, 1.0))
    (tmp_path / "a.ogg").write_bytes(b"".join(parts))
    with open_media(tmp_path / "a.ogg") as reader:
        x = read_all(reader)
        assert len(x) == reader.samples == 22_050 + int(0.7 * 44_100)
        for at in (40_000, 22_050, 22_049, 5, len(x), len(x) - 1):
            reader.seek(at)
            y = reader.read(500)
            assert len(y) == min(500, len(x) - at) and np.abs(y - x[at : at + 500]).max(initial=0) < 2e-5
        (notices,) = reader.faults.sentences("a.ogg")
    assert notices.startswith(f"a.ogg: 1 part of it left out, the first at {(0.0, 0.5, 1.2)[place]:.2f} s (is not")
    assert str(tmp_path) not in notices


def test_what_was_found_in_a_link_is_still_known_back_at_its_start(tmp_path: Path) -> None:
    bad = bytearray(link(tmp_path, "flac", 1.0))
    bad[len(bad) // 2 : len(bad) // 2 + 40] = bytes(40)
    (tmp_path / "a.ogg").write_bytes(bad + link(tmp_path, "flac", 0.5))
    with open_media(tmp_path / "a.ogg") as reader:
        read_all(reader)
        found = reader.faults.damaged_frames
        for place in (10, 50_000, 0):
            reader.seek(place)
            assert reader.faults.damaged_frames == found > 0


def test_pages_that_are_none_cost_no_more_than_a_bounded_look(tmp_path: Path) -> None:
    """Each such page declares 64 kB, so that a file of a few megabytes would take minutes."""
    (tmp_path / "a.ogg").write_bytes((b"OggS\0\0" + b"\xff" * 26) * (2 * MOST_FALSE))
    assert survey(tmp_path / "a.ogg").damaged == MOST_FALSE


def test_many_links(tmp_path: Path) -> None:
    part = link(tmp_path, "opus mono", 0.1)
    (tmp_path / "a.opus").write_bytes(part * 100)
    with open_media(tmp_path / "a.opus") as reader:
        assert len(read_all(reader)) == 100 * 4_800
        reader.seek(50 * 4_800)
        assert reader.position == 50 * 4_800


@pytest.mark.parametrize(("kind", "codec"), [("mp3", "libmp3lame"), ("aac", "aac"), ("mp2", "mp2"), ("ac3", "ac3")])
@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 2), (48_000, 1)])
def test_files_of_frames_joined(tmp_path: Path, kind: str, codec: str, rate: int, channels: int) -> None:
    """Adverts in podcasts: another rate, other channels, tags and Xing headers in the middle."""
    first = encode(tmp_path / f"a.{kind}", signal(1.5, 44_100), 44_100, codec).read_bytes()
    second = encode(tmp_path / f"b.{kind}", signal(1.0, rate, channels), rate, codec).read_bytes()
    (tmp_path / f"c.{kind}").write_bytes(first + second + first)
    with open_media(tmp_path / f"c.{kind}") as reader:
        x = read_all(reader)
        notices = reader.faults.sentences("c")
        assert (reader.rate, reader.channels) == (44_100, 2)
        assert reader.samples in (None, len(x))
        assert len(x) / 44_100 == pytest.approx(4.0, abs=0.25)  # padding of three encoders
        changes = [sentence for sentence in notices if "of format" in sentence]
        assert reader.faults.tallies[CHANGE].count <= 3  # on its way FFmpeg gives a frame or two of both formats
        assert changes or (rate, channels) == (44_100, 2)
        for place in (150_000, 20_000, 80_000):
            reader.seek(place)
            assert np.abs(reader.read(900) - x[place : place + 900]).max() < 1e-4


def test_the_reference_of_joined_mp3() -> None:
    with open_media(shared("cases/joined.mp3")) as reader:
        assert len(read_all(reader)) / reader.rate == pytest.approx(10.05, abs=0.06)
