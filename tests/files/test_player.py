"""The player and its threads: nothing waits for a disk, and nothing is lost by that."""

from __future__ import annotations

import errno
import math
import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.errors import MediaError
from audio_pipeline.files import read_ahead
from audio_pipeline.files.media import open_media
from audio_pipeline.files.media_file import CancelledError
from audio_pipeline.files.media_reader import MediaReader
from audio_pipeline.files.player import Player
from audio_pipeline.files.playlist import Reading
from tests.files.encoding import encode, signal
from tests.files.reading import read_all
from tests.patience import PATIENCE_S

RATE = 48_000
PATIENT = Reading(patience_s=math.inf)


class Disk:
    """Opens files when it is allowed to."""

    def __init__(self) -> None:
        self.gates: dict[str, threading.Event] = {}
        self.opened: list[str] = []

    def hold(self, name: str) -> threading.Event:
        return self.gates.setdefault(name, threading.Event())

    def open(self, path: Path, track: int) -> MediaReader:
        gate = self.gates.get(path.name)
        if gate is not None:
            assert gate.wait(PATIENCE_S)
        self.opened.append(path.name)
        return open_media(path, track)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    found = Disk()
    monkeypatch.setattr(read_ahead, "open_media", found.open)
    yield found
    for gate in found.gates.values():
        gate.set()


def song(path: Path, seed: int, samples: int = RATE) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((samples, 2)).astype(np.float32) * 0.1
    soundfile.write(path, x, RATE, subtype="FLOAT")
    return x


def arrive(player: Player) -> None:
    """The disk answers: the player is there in time again."""
    coming = player._coming or player.list.following
    assert coming is not None and coming.source.wait(PATIENCE_S, int)
    player.patience_s = math.inf


def test_a_seek_that_takes_long_holds_nobody_up_and_lands_to_the_sample(tmp_path: Path, disk: Disk) -> None:
    x = song(tmp_path / "a.wav", 1)
    player = Player([tmp_path / "a.wav"], RATE, 2, reading=PATIENT)
    assert np.array_equal(player.read(4_800), x[:4_800])
    player.patience_s = 0.0
    gate = disk.hold("a.wav")
    player.seek(0.5)
    assert player.target == (0, 0.5), "a successor goes where the seek was to go"
    assert np.array_equal(player.read(4_800), x[4_800:9_600]), "the song plays on"
    gate.set()
    arrive(player)
    y = player.read(4_800)
    assert np.array_equal(y[480:], x[24_480:28_800])
    assert player.media_s == pytest.approx(0.6) and player.position == 14_400
    assert player.waited_samples == 0
    player.close()


def test_a_newer_seek_takes_the_place_of_an_older(tmp_path: Path, disk: Disk) -> None:
    x = song(tmp_path / "a.wav", 1)
    player = Player([tmp_path / "a.wav"], RATE, 2, reading=PATIENT)
    player.patience_s = 0.0
    gate = disk.hold("a.wav")
    for seconds in (0.9, 0.7, 0.25):
        player.seek(seconds)
    gate.set()
    arrive(player)
    player.read(480)
    assert np.array_equal(player.read(480), x[12_480:12_960])
    player.close()


CODECS = {"a.aac": "aac", "a.mp3": "libmp3lame", "a.mka": "aac", "a.flac": "flac", "a.wav": "pcm_s16le"}


@pytest.mark.parametrize(("name", "codec"), CODECS.items())
def test_a_seek_that_nobody_wants_any_more_ends_without_a_word(
    tmp_path: Path, name: str, codec: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_media(encode(tmp_path / name, signal(6, 44_100), 44_100, codec)) as reader:
        reader.cancel_by(lambda: True)
        with pytest.raises(CancelledError):
            reader.seek(5 * 44_100)
            reader.read(44_100)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "codec"), CODECS.items())
def test_a_disk_that_fails_is_one_sentence(
    tmp_path: Path, name: str, codec: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def failing(fd: int, n: int, at: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    noise = np.random.default_rng(0).standard_normal((300_000, 2)).astype(np.float32) * 0.1
    path = encode(tmp_path / name, noise, 44_100, codec)
    with open_media(path) as reader:
        reader.read(1_000)
        monkeypatch.setattr(os, "pread", failing)
        with pytest.raises(MediaError, match=rf"^{path}: cannot be read on at \d\.\d\d s \(Input/output error\)$"):
            read_all(reader)
    with pytest.raises(MediaError, match=rf"^{path}: cannot be read \(Input/output error\)$"):
        open_media(path)
    assert capfd.readouterr() == ("", "")


def test_a_seek_to_what_is_gone_is_told_and_the_song_plays_on(tmp_path: Path, disk: Disk) -> None:
    x = song(tmp_path / "a.wav", 1)
    player = Player([tmp_path / "a.wav", tmp_path / "gone.wav"], RATE, 2, reading=PATIENT)
    with pytest.raises(MediaError, match=r"gone\.wav: cannot be opened"):
        player.next()
    player.patience_s = 0.0
    gate = disk.hold("gone.wav")
    player.next()
    gate.set()
    arrive(player)
    assert np.array_equal(player.read(RATE), x)
    assert [error for error in player.errors if "gone.wav" in error]
    player.close()


def test_a_jump_plays_what_lies_ahead_of_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the error behind it is known already when the jump arrives, or later, is a matter of threads."""
    song(tmp_path / "a.wav", 1)
    y = song(tmp_path / "b.wav", 2)

    def opened(path: Path, track: int) -> MediaReader:
        reader = open_media(path, track)
        if path.name == "b.wav":
            read = reader.read
            monkeypatch.setattr(reader, "read", lambda n: read(n) if reader.position < 12_288 else broken(path))
        return reader

    def broken(path: Path) -> np.ndarray:
        raise MediaError(f"{path}: cannot be read on")

    monkeypatch.setattr(read_ahead, "open_media", opened)
    player = Player([tmp_path / "a.wav", tmp_path / "b.wav"], RATE, 2)
    player.patience_s = 0.0
    player.jump(1, 0.0)
    if player._coming is not None:
        source = player._coming.source
        with source._changed:
            assert source._changed.wait_for(lambda: source.error, PATIENCE_S)
    player.patience_s = math.inf
    z = np.concatenate([player.read(4_800) for _ in range(4)])
    assert np.array_equal(z[480:12_288], y[480:12_288])
    assert player.errors == [f"{tmp_path / 'b.wav'}: cannot be read on"] and not len(player.read(10))


def test_the_end_waits_for_a_jump_that_is_under_way(tmp_path: Path, disk: Disk) -> None:
    """Somebody seeks back in the last second, and the disk is slow: silence until the sound comes, and no end."""
    x = song(tmp_path / "a.wav", 1)
    player = Player([tmp_path / "a.wav"], RATE, 2, reading=PATIENT)
    player.read(RATE - 480)
    player.take_maps()
    player.patience_s = 0.0
    gate = disk.hold("a.wav")
    player.seek(0.5)
    y = np.concatenate([player.read(480) for _ in range(4)])
    assert np.array_equal(y[:480], x[-480:]) and len(y) == 1_920 and not y[480:].any()
    assert player.waited_samples == 1_440
    gate.set()
    arrive(player)
    assert np.array_equal(player.read(RATE)[480:], x[RATE // 2 + 480 :])
    assert [place[:3] for place in player.take_maps()] == [(RATE + 1_440, 0, 0.5)]
    assert not len(player.read(480))
    player.seek(0.25)
    assert len(player.read(2 * RATE)) == RATE * 3 // 4
    player.close()


def test_the_next_song_is_open_before_it_is_needed(tmp_path: Path, disk: Disk) -> None:
    a, b = song(tmp_path / "a.wav", 1), song(tmp_path / "b.wav", 2)
    player = Player([tmp_path / "a.wav", tmp_path / "b.wav"], RATE, 2, reading=PATIENT)
    arrive(player)
    assert disk.opened == ["a.wav", "b.wav"] and player.position == 0
    assert np.array_equal(player.read(3 * RATE), np.concatenate([a, b]))


def test_a_next_song_that_comes_late_is_silence_until_then(tmp_path: Path, disk: Disk) -> None:
    a, b = song(tmp_path / "a.wav", 1), song(tmp_path / "b.wav", 2)
    gate = disk.hold("b.wav")
    player = Player([tmp_path / "a.wav", tmp_path / "b.wav"], RATE, 2, reading=PATIENT)
    assert np.array_equal(player.read(RATE), a)
    player.patience_s = 0.0
    for _ in range(3):
        assert not player.read(480).any()
    assert player.waited_samples == 1_440
    gate.set()
    arrive(player)
    assert np.array_equal(player.read(RATE), b), "not a sample of it is lost"
    assert [place[:3] for place in player.take_maps()] == [(0, 0, 0.0), (RATE + 1_440, 1, 0.0)]
    player.close()


def test_threads_that_a_disk_holds_are_bounded(tmp_path: Path, disk: Disk) -> None:
    song(tmp_path / "a.wav", 1)
    player = Player([tmp_path / "a.wav"], RATE, 2, reading=PATIENT)
    player.patience_s = 0.0
    gate = disk.hold("a.wav")
    with pytest.raises(MediaError, match=r"a\.wav: cannot be opened now, 16 other files wait for their disk"):
        for seconds in count():
            player.seek(seconds)
    assert len(player.read(480)) == 480
    gate.set()
    player.close()


@pytest.mark.parametrize("seconds", [1e308, 1e9, -5.0])
def test_a_seek_to_nowhere_is_a_seek_to_an_end(tmp_path: Path, seconds: float) -> None:
    x = song(tmp_path / "a.wav", 1)
    player = Player([tmp_path / "a.wav"], RATE, 2, reading=PATIENT)
    player.read(4_800)
    player.seek(seconds)
    y = player.read(2 * RATE)
    assert len(y) <= 480 if seconds > 0 else np.array_equal(y[480:], x[480:])


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_chunks_of_any_size_are_the_same_stream_across_songs_and_seeks(tmp_path: Path, rate: int) -> None:
    for seed in (1, 2):
        soundfile.write(tmp_path / f"{seed}.wav", song(tmp_path / "x.wav", seed), rate, subtype="FLOAT")

    def played(chunk: int) -> np.ndarray:
        player = Player([tmp_path / "1.wav", tmp_path / "2.wav"], RATE, 2, reading=PATIENT)
        parts = [player.read(16_320)]  # 17 x 480 x 2
        player.seek(0.75)
        while len(part := player.read(chunk)):
            parts.append(part)
        return np.concatenate(parts)

    expected = played(1 << 30)
    for chunk in (17, 480, 1024):
        np.testing.assert_array_equal(played(chunk), expected)
