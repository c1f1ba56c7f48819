"""Pictures of a run's recordings, drawn in a thread, so that a disk that answers late delays no report for ever."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from audio_pipeline import threads
from audio_pipeline.errors import MediaError
from audio_pipeline.report.sound import Picture, picture

PATIENCE_S = 120.0  # for all pictures; they take a tenth of a second each where the disk answers

Drawn = tuple[str, Picture | MediaError]


@dataclass
class Gallery:
    """Pictures by name, and a sentence for each recording that has none."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def hang(self, name: str, drawn: Picture | MediaError) -> None:
        """Takes what came of one recording."""
        if isinstance(drawn, MediaError):
            self.failures.append(str(drawn))
        else:
            self.pictures[name] = drawn


def gallery(
    tracks: Mapping[str, Path], patience_s: float = PATIENCE_S, *, draw: Callable[[Path], Picture] = picture
) -> Gallery:
    """Pictures of `tracks`, by name, as far as they are drawn after `patience_s` seconds.

    A thread that still waits for the disk then is left to it: it is a daemon and keeps nobody from leaving. What ends
    it otherwise than by MediaError is raised here.
    """
    found = Gallery()
    done: queue.SimpleQueue[Drawn | BaseException] = queue.SimpleQueue()
    threads.start(lambda: _draw_all(tracks.items(), draw, done), "pictures", on_error=done.put)
    end_s = time.monotonic() + patience_s
    left = dict.fromkeys(tracks)
    while left:
        try:
            drawn = done.get(timeout=max(end_s - time.monotonic(), 0.0))
        except queue.Empty:
            break
        if isinstance(drawn, BaseException):
            raise drawn
        name, shown = drawn
        found.hang(name, shown)
        del left[name]
    found.failures += [f"{name} is not drawn: the disk took longer than {patience_s:g} s" for name in left]
    return found


def _draw_all(
    tracks: Iterable[tuple[str, Path]],
    draw: Callable[[Path], Picture],
    done: queue.SimpleQueue[Drawn | BaseException],
) -> None:
    for name, path in tracks:
        try:
            done.put((name, draw(path)))
        except MediaError as error:
            done.put((name, error))
