from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import wave
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import ConfigError, MediaError, PipelineError
from audio_pipeline.files.wav import WavWriter, repair
from audio_pipeline.files.wav_format import Subtype, WavFormat, encode
from audio_pipeline.files.wav_part import is_in_use, part_of, scan
from tests.dsp.chunking import SIZES, chunks, noise, tone

RATE = 48000
SUBTYPES = get_args(Subtype)
LSB = {"float32": 0.0, "pcm16": 2.0**-15, "pcm24": 2.0**-23}


def song(n: int) -> np.ndarray:
    """What the writing processes below record, the same in every process."""
    return noise(n, 2, seed=7)


WRITER = """
import sys
from audio_pipeline.files.wav import WavWriter
from tests.files.test_wav import song
x = song(48000 * 10)
writer = WavWriter.open(sys.argv[1], 48000, 2, sys.argv[2])
for i in range(0, int(sys.argv[3]), 960):
    writer.write(x[i : i + 960])
    if (i + 960) % 48000 == 0:
        print(i + 960, flush=True)
print("ready", flush=True)
sys.stdin.read()
"""


def killed_writer(path: Path, subtype: str, samples: int, kill_at: str) -> None:
    """Record `samples` in another process and kill it with SIGKILL once it has said `kill_at`."""
    command = [sys.executable, "-c", WRITER, str(path), subtype, str(samples)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert kill_at in (line.strip() for line in child.stdout)
        child.kill()


def ffmpeg_samples(path: Path) -> int:
    """What FFmpeg decodes, in samples of two channels."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-f", "wav", "-i", str(path), "-f", "f32le", "-c:a", "pcm_f32le", "-"]
    return len(subprocess.run(command, check=True, capture_output=True).stdout) // 8


def read(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        data: np.ndarray = sf.read(file, dtype="float32", always_2d=True)[0]
    return data


@pytest.mark.parametrize("subtype", SUBTYPES)
def test_killed_recording_opens_everywhere_without_its_last_second_alone(tmp_path: Path, subtype: str) -> None:
    total = int(4.7 * RATE) // 960 * 960
    killed_writer(tmp_path / "take.wav", subtype, total, "ready")
    part = tmp_path / "take.wav.part"
    held = read(part)
    assert len(held) >= total - RATE
    np.testing.assert_allclose(held, song(total)[: len(held)], atol=2 * LSB[subtype])
    assert ffmpeg_samples(part) >= total - RATE
    if subtype != "float32":
        with wave.open(str(part), "rb") as file:
            assert file.getnframes() >= total - RATE
            assert len(file.readframes(total)) == file.getnframes() * file.getnchannels() * file.getsampwidth()
    assert scan(tmp_path) == [part]
    repaired = repair(part)
    assert repaired == (tmp_path / "take.wav", total, WavFormat(RATE, 2, subtype))  # type: ignore[arg-type]
    np.testing.assert_allclose(read(repaired.path), song(total), atol=2 * LSB[subtype])
    assert scan(tmp_path) == []


def test_kill_in_the_midst_of_writing_leaves_whole_samples(tmp_path: Path) -> None:
    killed_writer(tmp_path / "take.wav", "pcm24", 10 * RATE, str(2 * RATE))
    assert len(read(tmp_path / "take.wav.part")) >= 2 * RATE - 960
    path, samples, _ = repair(tmp_path / "take.wav")
    assert samples >= 2 * RATE
    np.testing.assert_allclose(read(path), song(samples), atol=LSB["pcm24"])


def test_resume_appends_to_what_is_there(tmp_path: Path) -> None:
    killed_writer(tmp_path / "take.wav", "float32", RATE, "ready")
    with (tmp_path / "take.wav.part").open("ab") as file:
        file.write(b"torn")  # half a sample
    writer = WavWriter.resume(tmp_path / "take.wav")
    assert writer.samples == RATE
    writer.write(song(2 * RATE)[RATE:])
    assert writer.close() == tmp_path / "take.wav"
    np.testing.assert_array_equal(read(tmp_path / "take.wav"), song(2 * RATE))


@pytest.mark.parametrize("subtype", SUBTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_block_size_changes_nothing(tmp_path: Path, subtype: Subtype, size: int) -> None:
    x = noise(3001, 1)
    for name, step in [("a", size), ("b", 1 << 30)]:
        with WavWriter.open(tmp_path / name, 8000, 1, subtype) as writer:
            for _, block in chunks(x, step):
                writer.write(block)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert len((tmp_path / "a").read_bytes()) % 2 == 0
    np.testing.assert_allclose(read(tmp_path / "a"), x, atol=2 * LSB[subtype])


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_libsndfile_agrees_with_the_header(tmp_path: Path, channels: int) -> None:
    for subtype, name in [("float32", "FLOAT"), ("pcm16", "PCM_16"), ("pcm24", "PCM_24")]:
        with WavWriter.open(tmp_path / subtype, 22050, channels, subtype) as writer:  # type: ignore[arg-type]
            writer.write(noise(1000, channels))
        info = sf.info(str(tmp_path / subtype))
        assert (info.samplerate, info.channels, info.frames) == (22050, channels, 1000)
        assert (info.format, info.subtype, info.extra_info.count("Error")) == ("WAV", name, 0)


def test_file_beyond_4_gib_becomes_rf64_in_place(tmp_path: Path) -> None:
    fmt, before = WavFormat(RATE, 2, "float32"), (1 << 32) // 8 + 5
    part = tmp_path / "long.wav.part"
    part.write_bytes(fmt.header(0))
    os.truncate(part, fmt.header_bytes + before * 8)  # a sparse file
    with WavWriter.resume(part) as writer:
        assert writer.samples == before
        writer.write(song(100))
    path = tmp_path / "long.wav"
    with sf.SoundFile(path) as file:
        assert (file.format, file.frames) == ("RF64", before + 100)
        file.seek(before)
        np.testing.assert_array_equal(file.read(dtype="float32"), song(100))


@given(st.integers(1, 1 << 20), st.integers(1, 64), st.sampled_from(SUBTYPES), st.integers(0, 1 << 40))
def test_header_reads_back(rate: int, channels: int, subtype: Subtype, samples: int) -> None:
    fmt = WavFormat(rate, channels, subtype)
    header = fmt.header(samples)
    assert len(header) == fmt.header_bytes
    assert WavFormat.parse(header) == fmt


@given(st.binary(max_size=100))
def test_foreign_bytes_are_not_a_header(data: bytes) -> None:
    assert WavFormat.parse(data) is None
    assert WavFormat.parse(b"RIFF\0\0\0\0WAVEJUNK" + data) is None


def test_pcm16_dither_turns_distortion_into_noise() -> None:
    """A tone of half an LSB: without dither its odd harmonics rise, with TPDF the third is 20 dB lower."""

    def third_harmonic(dither: np.random.Generator | None) -> float:
        x = tone(RATE, 1000, RATE, amplitude=0.9 * 2**-15)
        y = np.frombuffer(encode(x, "pcm16", dither), "<i2") / 32768
        return float(20 * np.log10(np.abs(np.fft.rfft(y))[3000]))

    assert third_harmonic(np.random.default_rng(0)) < third_harmonic(None) - 20


def test_pcm_clips_and_counts_and_nan_becomes_silence(tmp_path: Path) -> None:
    x = np.array([[1.5], [-1.5], [np.nan], [np.inf], [1.0]], np.float32)
    with WavWriter.open(tmp_path / "a.wav", 8000, 1, "pcm24") as writer:
        writer.write(x)
    assert (writer.clipped, writer.bad) == (2, 2)
    assert read(tmp_path / "a.wav")[:, 0] == pytest.approx([1, -1, 0, 0, 1], abs=2**-22)


def test_float_keeps_what_is_over_full_scale(tmp_path: Path) -> None:
    with WavWriter.open(tmp_path / "a.wav", 8000, 1) as writer:
        writer.write(np.full((3, 1), 2.5, np.float32))
    assert read(tmp_path / "a.wav").max() == 2.5 and writer.clipped == 0


FULL = """
import resource, sys
from audio_pipeline.errors import PipelineError
from audio_pipeline.files.wav import WavWriter
from tests.files.test_wav import song
resource.setrlimit(resource.RLIMIT_FSIZE, (100_001, 100_001))
writer = WavWriter.open(sys.argv[1], 48000, 2)
try:
    for i in range(100):
        writer.write(song(960))
except PipelineError as e:
    print(e)
print(writer.samples)
writer.close()
"""


def test_full_disk_is_one_sentence_and_keeps_what_was_written(tmp_path: Path) -> None:
    """A limit on the file's size is refused by the kernel as a full disk is, half-way through a block too."""
    path = tmp_path / "take.wav"
    out = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines() == [f"recording {path}: File too large", str(13 * 960)]
    np.testing.assert_array_equal(read(path), np.tile(song(960), (13, 1)))


def test_disk_without_room_for_the_header(tmp_path: Path) -> None:
    code, path = FULL.split("try:", maxsplit=1)[0].replace("100_001", "50"), tmp_path / "a.wav"
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert out.stderr.splitlines()[-1].endswith(f"PipelineError: recording {path}: File too large")
    WavWriter.open(tmp_path / "a.wav", RATE, 2).close()  # what is left there is in nobody's way


def test_folder_that_went_away(tmp_path: Path) -> None:
    writer = WavWriter.open(tmp_path / "takes" / "a.wav", RATE, 1)
    shutil.rmtree(tmp_path / "takes")
    with pytest.raises(PipelineError, match=r"recording .*a\.wav: No such file or directory"):
        writer.close()
    assert writer.close() == tmp_path / "takes" / "a.wav"


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=r"recording .*take\.wav: (Not a directory|File exists)"):
        WavWriter.open(tmp_path / "file" / "take.wav", RATE, 2)


def test_finished_file_is_safe_unless_given_up(tmp_path: Path) -> None:
    path = tmp_path / "take.wav"
    WavWriter.open(path, RATE, 1).close()
    with pytest.raises(PipelineError, match="exists already"):
        WavWriter.open(path, RATE, 1)
    with WavWriter.open(path, RATE, 1, overwrite=True) as writer:
        writer.write(noise(10, 1))
        assert len(read(path)) == 0  # the old one stays until the new one is whole
    assert len(read(path)) == 10 and not part_of(path).exists()


def test_name_taken_meanwhile_gets_a_number(tmp_path: Path) -> None:
    writer = WavWriter.open(tmp_path / "take.wav", RATE, 1)
    (tmp_path / "take.wav").touch()
    (tmp_path / "take-2.wav").touch()
    assert writer.close() == writer.close() == tmp_path / "take-3.wav"


def test_unfinished_file_is_never_overwritten(tmp_path: Path) -> None:
    killed_writer(tmp_path / "take.wav", "pcm16", 960, "ready")
    with pytest.raises(PipelineError, match=r"take\.wav\.part is unfinished, resume or repair it first"):
        WavWriter.open(tmp_path / "take.wav", RATE, 2, overwrite=True)


def test_stillborn_file_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "take.wav.part").write_bytes(b"RIFF")
    with pytest.raises(MediaError, match="not an unfinished recording"):
        WavWriter.resume(tmp_path / "take.wav")
    assert WavWriter.open(tmp_path / "take.wav", RATE, 2).close() == tmp_path / "take.wav"


def test_recording_in_use_is_left_alone(tmp_path: Path) -> None:
    with WavWriter.open(tmp_path / "take.wav", RATE, 1):
        assert scan(tmp_path) == []
        with pytest.raises(PipelineError, match="another process is writing it"):
            WavWriter.resume(tmp_path / "take.wav")


def test_resume_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"take\.wav\.part: cannot be resumed \(No such file"):
        repair(tmp_path / "take.wav")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="float32, pcm16, pcm24"):
        WavWriter.open(tmp_path / "a.wav", RATE, 2, "pcm8")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    with WavWriter.open(tmp_path / "a.wav", RATE, 2) as writer, pytest.raises(ConfigError, match=r"\(n, 2\)"):
        writer.write(noise(10, 1))


def test_a_file_system_without_locks_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS without a lock daemon: nothing is written unlocked, nobody's file counts as abandoned, nothing leaks."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    (tmp_path / "b.wav.part").write_bytes(bytes(100))
    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(PipelineError, match=r"recording .*a\.wav\.part: No locks available"):
        WavWriter.open(tmp_path / "a.wav", RATE, 1)
    with pytest.raises(PipelineError, match="No locks available"):
        WavWriter.resume(tmp_path / "b.wav")
    assert is_in_use(tmp_path / "b.wav.part") and not scan(tmp_path)
    assert len(os.listdir("/dev/fd")) == before
