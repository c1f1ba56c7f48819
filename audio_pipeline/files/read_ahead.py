"""A sound file opened, sought and decoded ahead in a thread of its own: a slow disk or a far seek holds nobody up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audio_pipeline import threads
from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.media import open_media
from audio_pipeline.files.media_file import CancelledError
from audio_pipeline.files.media_reader import MediaReader

BLOCK_SAMPLES = 4096
AHEAD_S = 1.0
MOST_AT_WORK = 16  # threads in one process, those included that a disk does not let go of
POLL_S = 0.25

_at_work = threading.BoundedSemaphore(MOST_AT_WORK)


class Block(NamedTuple):
    """Sound from a position in the file on; none at its end."""

    position: int
    x: NDArray[np.float32]


class ReadAhead:
    """One file from one place on. `reader` may be looked at once `is_ready`, unless there is an `error`."""

    reader: MediaReader

    def __init__(self, path: Path, seconds: float, track: int) -> None:
        self.path, self.error = path, None
        self._seconds, self._track = seconds, track
        self._changed = threading.Condition()
        self._blocks: deque[Block] = deque()
        self._wanted = True
        self._restarts = 0
        if not _at_work.acquire(blocking=False):
            raise MediaError(f"{path}: cannot be opened now, {MOST_AT_WORK} other files wait for their disk")
        threads.start(self._run, f"reads {path.name}"[:40], on_error=self._failed)

    error: PipelineError | None

    @property
    def is_ready(self) -> bool:
        """Whether the first block is there, or the reason why there is none."""
        return bool(self._blocks) or self.error is not None

    @property
    def has_failed(self) -> bool:
        """Whether there is an error and no sound ahead of it."""
        return self.error is not None and not self._blocks

    @property
    def next_position(self) -> int:
        """Where in the file the next block begins."""
        return self._blocks[0].position

    def wait(self, seconds: float, meanwhile: Callable[[], object]) -> bool:
        """Waits until it is ready, `seconds` at most; `meanwhile` is called a few times a second."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self.is_ready and (left := until - time.monotonic()) > 0:
                self._changed.wait(min(left, POLL_S))
                meanwhile()
            return self.is_ready

    def take(self) -> Block:
        """The next block, when it is ready; the end stays the end. Raises the error when it comes to that."""
        with self._changed:
            if not self._blocks:
                raise self.error or MediaError(f"{self.path}: is not ready")
            block = self._blocks[0] if not len(self._blocks[0].x) else self._blocks.popleft()
            self._changed.notify_all()
            return block

    def restart(self) -> None:
        """Goes on from the start of the file."""
        with self._changed:
            self._blocks.clear()
            self._restarts += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Lets go of the file, as soon as the disk does."""
        with self._changed:
            self._wanted = False
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            with open_media(self.path, self._track) as reader:
                reader.cancel_by(lambda: not self._wanted)
                self.reader = reader
                reader.seek(round(self._seconds * reader.rate))
                while self._has_capacity(reader):
                    self._add(Block(reader.position, reader.read(BLOCK_SAMPLES)))
        except CancelledError:
            pass
        finally:
            _at_work.release()

    def _has_capacity(self, reader: MediaReader) -> bool:
        """Waits until more is wanted; False once nothing is."""
        most = max(2, round(AHEAD_S * reader.rate / BLOCK_SAMPLES))
        with self._changed:
            while self._wanted and not self._restarts and (len(self._blocks) >= most or self._is_over()):
                self._changed.wait()
            again, self._restarts = bool(self._restarts), 0
        if again and self._wanted:
            reader.seek(0)
        return self._wanted

    def _is_over(self) -> bool:
        return bool(self._blocks) and not len(self._blocks[-1].x)

    def _add(self, block: Block) -> None:
        with self._changed:
            if not self._restarts:
                self._blocks.append(block)
            self._changed.notify_all()

    def _failed(self, error: BaseException) -> None:
        with self._changed:
            if isinstance(error, PipelineError):
                self.error = error
            elif isinstance(error, MemoryError):
                self.error = MediaError(f"{self.path}: needs more memory than available")
            else:
                raise error
            self._changed.notify_all()
