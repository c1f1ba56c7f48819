"""The folder of a run, and the recordings in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from audio_pipeline.files.segments import finished_by
from audio_pipeline.graph.types import Graph

FIRST = ("mix", "vocals", "accompaniment")  # the tracks of most runs, in this order


@contextmanager
def run_folder(wanted: Path | None, name: str) -> Iterator[Path]:
    """The folder of a run, `takes/<name>` where none is wanted.

    A folder that is still empty at the end is removed, together with the parents that were made for it.
    """
    own = Path("takes") / name
    # a folder that cannot be examined counts as absent: removing it fails as well
    new = [path for path in (wanted or own, *(wanted or own).absolute().parents) if not os.path.exists(path)]
    folder = (wanted or new_folder(own)).absolute()
    try:
        yield folder
    finally:
        with suppress(OSError, ValueError):  # it is not empty, or was never made
            for path in new if wanted else (folder, *new[1:]):
                path.rmdir()


def new_folder(path: Path) -> Path:
    """Makes the folder, with a number appended where another run of the same second has that name.

    Two runs never get the same folder. Where it cannot be made, the start of the run raises the reason.
    """
    number, free = 1, path
    while True:
        try:
            free.mkdir(parents=True)
        except FileExistsError:
            if not free.is_dir():  # a file has that name
                return free
        except OSError:
            return free
        else:
            return free
        number += 1
        free = path.with_name(f"{path.name}-{number}")


def recorded(graph: Graph, folder: Path, run: str) -> tuple[Path, list[Path]]:
    """The folder that holds the recordings of run `run`, and their files; a recorder may have a folder of its own."""
    own = [getattr(spec.settings, "folder", "") for spec in graph.nodes.values()]
    for candidate in (folder, *[Path(name) for name in own if name]):
        tracks = tracks_in(candidate, run)
        if tracks:
            return candidate, tracks
    return folder, []


def tracks_in(folder: Path, run: str | None = None) -> list[Path]:
    """The WAV files of a folder, the mix first; with `run` only those that this run finished there."""

    def rank(path: Path) -> tuple[int, str]:
        return FIRST.index(path.stem) if path.stem in FIRST else len(FIRST), path.name

    found = folder.glob("*.wav") if run is None else (folder / name for name in finished_by(folder, run))
    return sorted((path for path in found if path.is_file()), key=rank)
