"""Files made to eat memory or time, within 1 GiB of address space: one sentence each, or the sound that is in them."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from tests.files.encoding import encode, signal
from tests.files.test_limits import flac, wav
from tests.patience import PATIENCE_S

# Reads each file as a clip and a few seconds of it as a song, and says what came of it.
CHILD = """
import json, resource, sys
from pathlib import Path
from audio_pipeline.errors import PipelineError
from audio_pipeline.files.clip import read_clip
from audio_pipeline.files.media import open_media
from audio_pipeline.files.player import Player
from audio_pipeline.files.playlist import Reading
import soxr
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

def clip(path):
    return len(read_clip(path)[0])

def song(path):
    player = Player([path], 48000, 2, reading=Reading(patience_s=float("inf")))
    total = sum(len(player.read(4800)) for _ in range(50))
    player.close()
    return total

for path in sys.argv[1:]:
    found = {"name": Path(path).name}
    for way in (clip, song):
        try:
            found[way.__name__] = way(Path(path))
        except PipelineError as error:
            found[way.__name__] = str(error)
    print(json.dumps(found), flush=True)
"""


def id3(size: int) -> bytes:
    """The head of an ID3v2 tag with a cover picture of `size` bytes."""

    def seven(n: int) -> bytes:
        return bytes(n >> shift & 0x7F for shift in (21, 14, 7, 0))

    return b"ID3\x04\0\0" + seven(size + 24) + b"APIC" + seven(size + 14) + b"\0\0\0image/png\0\x03\0"


def sparse(path: Path, head: bytes, size: int, tail: bytes = b"") -> None:
    with path.open("wb") as file:
        file.write(head)
        file.seek(size)
        file.write(tail)
        file.truncate(max(size, file.tell()))


def silent_flac(rate: int, channels: int, total: int) -> bytes:
    """A FLAC that declares `total` samples and holds a few thousand."""
    data = bytearray(flac(rate, channels, 5_000))
    data[21] = data[21] & 0xF0 | total >> 32 & 0xF
    data[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    return bytes(data)


def png() -> bytes:
    """A picture of 30,000 by 30,000 pixels in a few kilobytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def film(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((24, 16), np.uint8), format="yuv420p")))
        container.mux(stream.encode(None))


def hours_of_silence(path: Path, codec: str) -> None:
    """Three hours of it in some hundred kilobytes."""
    rate = 48_000
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono", options={"frame_duration": "120", "b": "6000"})
        once = []
        for at in range(0, rate * 6, 5_760):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 5_760), np.float32), format="flt", layout="mono")
            frame.sample_rate, frame.pts = rate, at
            once += stream.encode(frame)
        packet, count = once[-1], 3 * 3_600 * rate // 5_760
        data = bytes(packet)
        for i in range(count):
            one = av.Packet(data)
            one.pts = one.dts = i * 5_760
            one.stream, one.time_base, one.duration = stream, Fraction(1, rate), 5_760
            container.mux(one)


def nested(levels: int) -> bytes:
    """MP4 boxes within boxes."""
    data = b""
    for _ in range(levels):
        data = struct.pack(">I4s", len(data) + 8, b"moov") + data
    return struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0) + data


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    mp3 = encode(folder / "plain.mp3", signal(1, 44_100), 44_100, "libmp3lame").read_bytes()
    plain = {
        "655350hz.flac": flac(655_350, 8, 5_000),
        "1hz.wav": wav(1, 2),
        "2ghz.wav": wav(2_000_000_000, 1),
        "32767channels.wav": wav(8_000, 32_767, 1),
        "500channels.wav": wav(8_000, 500),
        "endless.flac": silent_flac(384_000, 8, (1 << 36) - 1),
        "long.flac": silent_flac(48_000, 2, 48_000 * 86_400),
        "png.mp3": png(),
        "nested.mp4": nested(2_000),
        "zip.wav": b"PK\x03\x04" + bytes(5_000),
        "empty.flac": b"",
        "gif.ogg": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(500),
        "xml.opus": b"<?xml?>" * 500,
        "vorbis.ogg": b"OggS" + bytes([0, 2]) + bytes(20) + b"\x01\xff" + bytes(255),
        "riff.wav": b"RIFF\xff\xff\xff\xffWAVE",
    }
    for name, data in plain.items():
        (folder / name).write_bytes(data)
    sparse(folder / "cover.mp3", id3(200_000_000), 200_000_034, mp3)
    sparse(folder / "sparse.wav", wav(48_000, 2, 0)[:40] + struct.pack("<I", 3_000_000_000), 3_000_000_044)
    big = struct.pack(">II", 0x84000000 | 0xFFFFFF, 0)
    (folder / "comments.flac").write_bytes(flac(48_000, 2, 500)[:4] + b"\x04\xff\xff\xff" + big + bytes(100_000))
    hours_of_silence(folder / "hours.opus", "libopus")
    hours_of_silence(folder / "hours.webm", "libopus")
    film(folder / "mute.mp4")
    buffer = io.BytesIO()
    sf.write(buffer, np.zeros((1_200_000, 8), np.int16), 48_000, format="FLAC")
    (folder / "silence8.flac").write_bytes(buffer.getvalue())
    os.mkfifo(folder / "fifo.wav")
    (folder / "folder.wav").mkdir()
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    return folder


@pytest.fixture(scope="module")
def outcomes(bombs: Path) -> dict[str, dict[str, object]]:
    """What one process within 1 GiB made of all of them."""
    paths = [*sorted(bombs.iterdir()), bombs / "gone.wav", Path("/dev/zero"), Path("/dev/stdin"), bombs / ("x" * 300)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE_S,
        check=False,
    )
    assert child.returncode == 0 and "Traceback" not in child.stderr, child.stderr[-2_000:]
    found = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(found) == len(paths)
    return {str(outcome.pop("name")): outcome for outcome in found}


MESSAGES = {
    "655350hz.flac": "has a rate of 655350 Hz, expected 4000 to 384000 Hz",
    "1hz.wav": "has a rate of 1 Hz",
    "2ghz.wav": "",
    "32767channels.wav": "",
    "500channels.wav": "has 500 channels, expected 1 to 32",
    "png.mp3": "is not a sound file",
    "nested.mp4": "",
    "zip.wav": "is not a sound file",
    "empty.flac": "is empty",
    "gif.ogg": "is not a sound file",
    "xml.opus": "is not a sound file",
    "vorbis.ogg": "is not a sound file",
    "riff.wav": "",
    "mute.mp4": "has no sound in it that can be decoded",
    "fifo.wav": "is not a regular file",
    "folder.wav": "is a folder",
    "loop.wav": "cannot be opened (Too many levels of symbolic links)",
    "gone.wav": "cannot be opened (No such file or directory)",
    "zero": "is not a regular file",
    "stdin": "is not a regular file",
    "x" * 300: "cannot be opened (File name too long)",
}


@pytest.mark.parametrize("name", MESSAGES, ids=lambda name: name[:20])
def test_what_cannot_be_read_is_one_sentence(outcomes: dict[str, dict[str, object]], name: str) -> None:
    for outcome in outcomes[name].values():
        assert isinstance(outcome, str) and MESSAGES[name] in outcome and name in outcome and "\n" not in outcome, (
            outcome
        )


@pytest.mark.parametrize("name", ["hours.opus", "hours.webm", "sparse.wav"])
def test_hours_are_no_clip_but_a_song(outcomes: dict[str, dict[str, object]], name: str) -> None:
    assert f"{name}' is longer than 600 s" in str(outcomes[name]["clip"])
    assert outcomes[name]["song"] == 50 * 4_800


def test_what_declares_more_than_it_holds_is_what_it_holds(outcomes: dict[str, dict[str, object]]) -> None:
    assert outcomes["endless.flac"]["clip"] == outcomes["long.flac"]["clip"] == 5_000


@pytest.mark.parametrize("name", ["cover.mp3", "plain.mp3", "silence8.flac"])
def test_what_is_only_large_is_read(outcomes: dict[str, dict[str, object]], name: str) -> None:
    assert isinstance(outcomes[name]["clip"], int) and isinstance(outcomes[name]["song"], int), outcomes[name]


def test_a_comment_beyond_the_end_of_its_file_ends_well(outcomes: dict[str, dict[str, object]]) -> None:
    assert all(isinstance(value, (int, str)) for value in outcomes["comments.flac"].values())
