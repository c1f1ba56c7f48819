"""WAV files that stay readable when the writer dies: sizes in the header are kept up to date on disk.

Once a second of audio, or when the caller says so, the header is rewritten in place and the file synced: a process
killed at any moment loses less than that, and `repair` or `resume` gets even that back as far as it had reached the
system. A file is called `<name>.part` until it is closed. Silence is a hole in the file, which costs no time and,
where the file system knows holes, no space.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.level import overs, sanitise
from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.files.wav_format import Subtype, WavFormat, encode
from audio_pipeline.files.wav_part import PART, failed, free_name, is_taken, locked, part_of, reopen

SYNC_S = 1
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has the latter only


class Repaired(NamedTuple):
    """What an unfinished recording became."""

    path: Path
    samples: int
    format: WavFormat


class WavWriter:
    """One recording in progress, by `open` or `resume`; its file is locked against a second writer.

    `buffered` keeps what is written until `flush` and leaves it to the caller when to `sync`: for writers that take
    many small blocks at once.
    """

    def __init__(
        self, fd: int, path: Path, fmt: WavFormat, samples: int, *, overwrite: bool, dither: bool, buffered: bool
    ) -> None:
        self.path, self.format, self.samples = path, fmt, samples
        self.clipped = 0  # values beyond full scale that PCM cut off
        self.peak = 0.0  # highest value that came
        self.bad = 0  # NaN and infinities written as 0
        self._fd, self._overwrite, self._buffered = fd, overwrite, buffered
        self._pending: list[tuple[int, bytearray]] = []  # where, what
        self._given = samples  # how many the system has
        self._dither = np.random.default_rng(samples) if dither and fmt.subtype == "pcm16" else None
        try:
            self.sync()
        except PipelineError:
            os.close(fd)
            raise

    @classmethod
    def open(
        cls,
        path: str | Path,
        rate: int,
        channels: int,
        subtype: Subtype = "float32",
        *,
        overwrite: bool = False,
        dither: bool = True,
        buffered: bool = False,
    ) -> WavWriter:
        """Start `path`, as `<path>.part` until closed; PipelineError where there is a file of either name.

        `overwrite` lets a finished file of the name go when this one is closed; an unfinished one never goes.
        """
        path = Path(path)
        fmt = WavFormat(rate, channels, subtype)
        if path.exists() and not overwrite:
            raise PipelineError(f"recording {path}: the file exists already")
        part = part_of(path)
        if is_taken(part):
            raise PipelineError(f"recording {path}: {part.name} is unfinished, resume or repair it first")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(part, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise failed(path, e) from e
        return cls(locked(fd, part), path, fmt, 0, overwrite=overwrite, dither=dither, buffered=buffered)

    @classmethod
    def resume(
        cls, path: str | Path, *, overwrite: bool = False, dither: bool = True, buffered: bool = False
    ) -> WavWriter:
        """Go on with an unfinished recording (either name); `samples` is what it holds by now."""
        part = part_of(path)
        fd, fmt, samples = reopen(part)
        final = part.with_name(part.name.removesuffix(PART))
        return cls(fd, final, fmt, samples, overwrite=overwrite, dither=dither, buffered=buffered)

    def write(self, x: NDArray[np.float32]) -> None:
        """Append (n, channels); PipelineError when the disk is full, what was written before stays."""
        if x.ndim != 2 or x.shape[1] != self.format.channels:
            raise ConfigError(f"recording {self.path}: expected (n, {self.format.channels}), got {x.shape}")
        x, bad = sanitise(x)
        self.bad += bad
        self.peak = max(self.peak, float(np.max(np.abs(x), initial=0.0)))
        if self.format.subtype != "float32":
            self.clipped += overs(x)
        self._keep(encode(x, self.format.subtype, self._dither))
        self.samples += len(x)
        if not self._buffered:
            self.flush()
            if self.samples - self._synced >= SYNC_S * self.format.rate:
                self.sync()

    def skip(self, samples: int) -> None:
        """Append silence, as a hole in the file."""
        self.samples += samples
        if not self._buffered:
            self.flush()

    @property
    def is_synced(self) -> bool:
        """True where header and disk have everything."""
        return self._synced == self.samples

    def flush(self) -> None:
        """Give the system what was written; PipelineError when the disk is full, what it has stays."""
        try:
            for at, data in self._pending:
                self._put(data, at)
            if os.fstat(self._fd).st_size < self._end():
                os.ftruncate(self._fd, self._end())  # silence at the end
        except OSError as e:
            self.samples = self._given
            raise failed(self.path, e) from e
        finally:
            self._pending.clear()
        self._given = self.samples

    def sync(self) -> None:
        """Bring header and audio to the disk now; an unbuffered `write` does it each second of audio."""
        self.flush()
        try:
            self._put(self.format.header(self.samples), 0)
            _sync(self._fd)
        except OSError as e:
            raise failed(self.path, e) from e
        self._synced = self.samples

    def close(self) -> Path:
        """Finish the file and give it its name; a second call changes nothing.

        Should another file have taken the name meanwhile, this one gets a number behind its own. Where the disk takes
        no more, what fits is finished before PipelineError is raised.
        """
        if self._fd < 0:
            return self.path
        part, refused = part_of(self.path), None
        try:
            refused = self._refused()
            self.sync()
            os.ftruncate(self._fd, self._end() + self._end() % 2)  # RIFF chunks have even lengths
            self.path = self.path if self._overwrite else free_name(self.path)
            os.replace(part, self.path)
        except OSError as e:
            raise failed(self.path, e) from e
        finally:
            os.close(self._fd)
            self._fd = -1
        if refused:
            raise refused
        return self.path

    def _refused(self) -> PipelineError | None:
        """Gives the system the rest; its error where it does not take all of it."""
        try:
            self.flush()
        except PipelineError as error:
            return error
        return None

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _end(self) -> int:
        return self.format.header_bytes + self.samples * self.format.frame_bytes

    def _keep(self, data: bytes) -> None:
        """For `flush`: one write where it goes on from the last."""
        end = self._end()
        if self._pending and self._pending[-1][0] + len(self._pending[-1][1]) == end:
            self._pending[-1][1].extend(data)
        else:
            self._pending.append((end, bytearray(data)))

    def _put(self, data: bytes | bytearray, offset: int) -> None:
        view = memoryview(data)
        while view:
            n = os.pwrite(self._fd, view, offset)
            view, offset = view[n:], offset + n


def repair(path: str | Path) -> Repaired:
    """Finish an unfinished recording (either name): header from what is on disk, and a free final name."""
    writer = WavWriter.resume(path)
    return Repaired(writer.close(), writer.samples, writer.format)
