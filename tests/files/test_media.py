from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio_pipeline.errors import ConfigError, MediaError
from audio_pipeline.files.media import open_media
from tests.files.encoding import encode, signal
from tests.files.reading import read_all

RATE, SECONDS = 44100, 8
VBR = {"flags": "+qscale", "global_quality": "236"}  # in FFmpeg's lambda units: quality 2
NO_PNS = {"aac_pns": "0"}  # AAC's noise substitution is random, by design, at each pass

# name: codec, its options, the container's, whether it declares its length, the delay that it hides
KINDS: dict[str, tuple[str, dict[str, str], dict[str, str], bool, int]] = {
    "plain.m4a": ("aac", NO_PNS, {}, True, 0),
    "lossless.m4a": ("alac", {}, {}, True, 0),
    "cbr.mp3": ("libmp3lame", {"b": "128000"}, {}, True, 0),
    "tiny.mp3": ("libmp3lame", {"b": "32000"}, {}, True, 0),
    "vbr_no_xing.mp3": ("libmp3lame", VBR, {"write_xing": "0"}, False, 1105),
    "music.ogg": ("vorbis", {}, {}, True, 0),
    "voice.opus": ("libopus", {"b": "64000"}, {}, True, 0),
    "plain.flac": ("flac", {}, {}, True, 0),
    "plain.mka": ("aac", NO_PNS, {}, False, 1024),
    "voice.webm": ("libopus", {}, {}, False, 0),
    "raw.aac": ("aac", NO_PNS, {}, False, 1024),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind, all of the same signal."""
    path = tmp_path_factory.mktemp("media")
    for name, (codec, options, muxing, _, _) in KINDS.items():
        rate = 48000 if "opus" in codec else RATE
        encode(path / name, signal(SECONDS, rate), rate, codec, options, muxing)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_length_and_place_of_the_sound(folder: Path, name: str) -> None:
    """The signal comes back at its place (or its encoder's delay later, where the container hides that)."""
    _, _, _, declared, delay = KINDS[name]
    with open_media(folder / name) as reader:
        x = read_all(reader)
        assert reader.channels == 2 and reader.position == len(x)
        assert reader.samples == (len(x) if declared else None)
    expected = signal(SECONDS, reader.rate)
    assert len(expected) <= len(x) <= len(expected) + (2 * 1152 + delay if delay else 0)
    part = slice(reader.rate, 3 * reader.rate)
    lags = range(-30, 31)
    likeness = [np.vdot(expected[part], x[part.start + delay + k : part.stop + delay + k]) for k in lags]
    assert abs(lags[int(np.argmax(likeness))]) <= (30 if delay else 0)


@pytest.mark.parametrize("name", KINDS)
def test_seek_is_exact(folder: Path, name: str) -> None:
    """What follows a seek is what a straight pass reads there: -120 dB, for Opus -100 (its state decays)."""
    rng = np.random.default_rng(0)
    with open_media(folder / name) as reader:
        x = read_all(reader)
        last = len(x) - 2000
        places = [0, 1, 1024, last, 5, last - 3000, 40000, 39999, *rng.integers(0, last, 25), 0]
        for place in map(int, places):
            reader.seek(place)
            assert reader.position == place
            y = np.concatenate([reader.read(700), reader.read(1300)])
            assert np.abs(y - x[place : place + 2000]).max() < (1e-5 if "opus" in name else 1e-6), place


@pytest.mark.parametrize("name", ["plain.m4a", "tiny.mp3", "music.ogg", "voice.opus", "plain.flac", "plain.mka"])
def test_block_size_changes_nothing(folder: Path, name: str) -> None:
    def whole(block: int) -> np.ndarray:
        with open_media(folder / name) as reader:
            return read_all(reader, block)

    expected = whole(1 << 30)
    for block in (17, 480, 1024):
        np.testing.assert_array_equal(whole(block), expected)


@pytest.mark.parametrize("name", ["plain.m4a", "cbr.mp3", "plain.flac", "voice.webm"])
def test_the_end(folder: Path, name: str) -> None:
    with open_media(folder / name) as reader:
        n = len(read_all(reader))
        assert reader.read(10).shape == (0, 2)
        reader.seek(10 * n)
        assert reader.position == n and reader.read(10).shape == (0, 2)
        reader.seek(n - 3)
        assert len(reader.read(10)) == 3
        with pytest.raises(ConfigError, match="sample -1"):
            reader.seek(-1)


def test_song_of_unknown_flac_length(tmp_path: Path) -> None:
    """What an encoder that cannot go back leaves: no total in STREAMINFO."""
    x = signal(3, RATE)
    buffer = io.BytesIO()
    sf.write(buffer, x, RATE, format="FLAC")
    data = bytearray(buffer.getvalue())
    data[21] &= 0xF0  # 36 bits of total samples, behind the 4-byte mark and the 4-byte block header
    data[22:26] = bytes(4)
    (tmp_path / "pipe.flac").write_bytes(data)
    with open_media(tmp_path / "pipe.flac") as reader:
        assert reader.samples is None
        np.testing.assert_allclose(read_all(reader), x, atol=2**-15)
        reader.seek(50000)
        np.testing.assert_allclose(reader.read(100), x[50000:50100], atol=2**-15)


def test_eight_bit_mono_22_khz(tmp_path: Path) -> None:
    x = signal(1, 22050, 1)
    sf.write(tmp_path / "old.wav", x, 22050, subtype="PCM_U8")
    with open_media(tmp_path / "old.wav") as reader:
        assert (reader.rate, reader.channels, reader.samples) == (22050, 1, 22050)
        np.testing.assert_allclose(read_all(reader), x, atol=1 / 128)


@pytest.mark.parametrize(("codec", "step"), [("pcm_u8", 2**-7), ("pcm_s16le", 2**-15), ("pcm_f64le", 2**-24)])
def test_sample_formats_of_ffmpeg(tmp_path: Path, codec: str, step: float) -> None:
    x = signal(1, 22050, 1)
    with open_media(encode(tmp_path / "x.mka", x, 22050, codec)) as reader:
        np.testing.assert_allclose(read_all(reader), x, atol=1.5 * step)


@pytest.mark.parametrize("codec", ["wav", "aac"])
def test_surround(tmp_path: Path, codec: str) -> None:
    x = signal(2, 48000, 6)
    if codec == "wav":
        sf.write(tmp_path / "surround.wav", x, 48000)
    else:
        encode(tmp_path / "surround.m4a", x, 48000, "aac", {"b": "384000"})
    with open_media(next(tmp_path.iterdir())) as reader:
        y = read_all(reader)
    assert y.shape == (96000, 6)
    levels = [np.vdot(x[:, c], y[:, c]) / np.vdot(x[:, c], x[:, c]) for c in (0, 1, 2, 4, 5)]
    np.testing.assert_allclose(levels, 1, atol=0.05)  # each in its place; the LFE is low-passed


def test_nan_and_overs_pass(tmp_path: Path) -> None:
    x = np.array([[np.nan, 2.5], [np.inf, -3.0]], np.float32)
    sf.write(tmp_path / "odd.wav", x, RATE, subtype="FLOAT")
    with open_media(tmp_path / "odd.wav") as reader:
        np.testing.assert_array_equal(reader.read(10), x)


def test_content_decides_not_the_name(folder: Path, tmp_path: Path) -> None:
    for name, alias in [("plain.flac", "a.raw"), ("plain.m4a", "b.mp3"), ("cbr.mp3", "c.txt")]:
        os.symlink(folder / name, tmp_path / alias)
        with open_media(tmp_path / alias) as reader:
            assert len(reader.read(1000)) == 1000


BAD: dict[str, tuple[bytes, str]] = {
    "empty.wav": (b"", "is empty"),
    "text.mp3": (b"Dear diary, today I sang.\n" * 400, "is not a sound file that can be read"),
    "noise.wav": (np.random.default_rng(1).bytes(50_000), "is not a sound file that can be read"),
    "list.m3u8": (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "is not a sound file that can be read"),
    "list.txt": (b"ffconcat version 1.0\nfile song.m4a\n", "is not a sound file that can be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_sound_is_one_sentence(tmp_path: Path, name: str) -> None:
    data, expected = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MediaError) as caught:
        open_media(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / name}: {expected}")
    assert "\n" not in message and message.count(str(tmp_path)) == 1


def test_missing_folder_and_special_files(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.wav: cannot be opened \(No such file or directory\)"):
        open_media(tmp_path / "gone.wav")
    with pytest.raises(MediaError, match="is a folder, expected a sound file"):
        open_media(tmp_path)
    with pytest.raises(MediaError, match="/dev/zero: is not a regular file"):
        open_media("/dev/zero")


@pytest.mark.parametrize("name", ["plain.flac", "plain.m4a", "cbr.mp3"])
def test_damage_within_is_silence_counted_and_said(folder: Path, tmp_path: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    (tmp_path / name).write_bytes(data)
    with open_media(folder / name) as whole, open_media(tmp_path / name) as reader:
        expected, x = read_all(whole), read_all(reader)
        notices = reader.faults.sentences(name)
    assert abs(len(x) - len(expected)) < 0.1 * RATE
    assert reader.faults.damaged_frames
    assert len(notices) == 1 and re.match(rf"{name}: \d+ frames? damaged, from [2-5]\.\d\d s on; ", notices[0]), notices
    end = slice(6 * RATE, 7 * RATE)  # behind the damage everything is in its place
    assert np.abs(x[end] - expected[end]).max() < 1e-3


@pytest.mark.parametrize("name", ["plain.wav", "music.ogg", "cbr.mp3"])
def test_cut_file_plays_to_where_it_was_cut(folder: Path, tmp_path: Path, name: str) -> None:
    if name == "plain.wav":
        sf.write(folder / name, signal(SECONDS, RATE), RATE)
    data = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with open_media(tmp_path / name) as reader:
        assert 2 * RATE < len(read_all(reader)) < 6 * RATE


def test_video_without_sound(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "mute.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match=r"mute\.mp4: has no sound in it"):
        open_media(tmp_path / "mute.mp4")


def test_a_name_of_any_bytes(folder: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.flac"))
    os.symlink(folder / "plain.flac", path)
    with open_media(path) as reader:
        assert len(reader.read(1000)) == 1000
    with pytest.raises(MediaError, match="is no name of a file"):
        open_media("a\0b")


def test_close_twice(folder: Path) -> None:
    for name in ("plain.flac", "plain.m4a"):
        reader = open_media(folder / name)
        reader.close()
        reader.close()
