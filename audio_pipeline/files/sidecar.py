"""`take.json`: what a folder's recordings are and which of their samples are not the stream's own.

There is an entry a file, under the file's name without `.wav`, from before the file is made. So whoever goes on after
a crash knows the finished files of the run as well as those that it was writing. The file is rewritten now and then,
and each new fact is appended to a journal beside it before the sound that it speaks of is written: a recorder killed
at any moment leaves no silence that is not stated.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.take_lock import turn
from audio_pipeline.private_file import write_whole

SIDECAR = "take.json"
JOURNALS = ".take.*journal"
VERSION = 2
KINDS = ("gaps", "concealed", "jumps")
Span = dict[str, int]  # {"at": file sample, "samples": how many}


@dataclass
class TrackInfo:
    """What the sidecar says of one file; `at` counts file samples."""

    file: str
    rate: int
    base_position: int
    samples: int = 0
    gaps: list[Span] = field(default_factory=list)  # silence where nothing came
    concealed: list[Span] = field(default_factory=list)  # not silence, but a stand-in of a node
    jumps: list[Span] = field(default_factory=list)  # positions left out: nothing was written for them
    track: str = ""  # the input that it holds
    node: str = ""  # the recorder that wrote it
    run: str = ""  # of which run
    finished: bool = False  # it has its final name, and nobody writes it any more
    clipped: int = 0  # values beyond full scale that PCM cut off
    peak: float = 0.0  # highest value that came, before any cut
    gain_db: float = 0.0  # that every track of the take was given

    def note(self, kind: str, at: int, samples: int) -> None:
        """Adds what is known of `samples` from file sample `at` on; saying it twice changes nothing."""
        spans: list[Span] = getattr(self, kind)
        last = spans[-1] if spans else None
        if last is None or last["at"] + last["samples"] < at or (kind == "jumps" and last["at"] != at):
            spans.append({"at": at, "samples": samples})
        elif kind == "jumps":
            last["samples"] = max(last["samples"], samples)
        else:
            last["samples"] = max(last["samples"], at + samples - last["at"])

    def trim(self, samples: int) -> None:
        """Forgets what was said of samples that were not written any more."""
        self.samples = samples
        for spans in (self.gaps, self.concealed):
            while spans and spans[-1]["at"] >= samples:
                spans.pop()
            if spans:
                spans[-1]["samples"] = min(spans[-1]["samples"], samples - spans[-1]["at"])


Tracks = dict[str, TrackInfo]


class Sidecar:
    """The entries of a folder, on disk at any moment. PipelineError where the disk refuses.

    `tracks` are those of this recorder in this run; what others wrote there is kept as it is.
    """

    def __init__(self, folder: Path, run: str = "", node: str = "") -> None:
        self.folder, self.path, self.run, self.node = folder, folder / SIDECAR, run, node
        self._journal = folder / journal_of(node)
        self.tracks: Tracks = {}
        self._pending: list[str] = []  # of the journal
        self._gone: set[str] = set()  # entries that are there no more

    def note(self, name: str, kind: str, at: int, samples: int) -> None:
        """As `TrackInfo.note`; on disk from the next `flush` on."""
        self.tracks[name].note(kind, at, samples)
        self._pending.append(json.dumps([name, kind, at, samples]) + "\n")

    def flush(self) -> None:
        """Brings what was noted to the disk; the sound that it speaks of may be written after that."""
        if not self._pending:
            return
        try:
            with self._journal.open("a") as file:
                file.write("".join(self._pending))
        except OSError as error:
            raise _refused(self._journal, error) from error
        self._pending.clear()

    def save(self, *, sync: bool = False) -> None:
        """Writes everything anew; a reader sees the old file or the new one, never half."""
        try:
            with turn(self.folder):
                others = {name: info for name, info in self._others().items() if name not in self._gone}
                write_whole(self.path, text_of({**others, **self.tracks}), sync=sync)
            self._pending.clear()
            self._journal.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(self.path, error) from error

    def forget(self, name: str) -> None:
        """The file of that entry is not there (any more)."""
        self.tracks.pop(name, None)
        self._gone.add(name)

    def begin(self, name: str, info: TrackInfo) -> None:
        """A new entry, on disk before its file is made."""
        self._gone.discard(name)
        self.tracks[name] = info
        self.save(sync=True)

    def all(self) -> Tracks:
        """Every entry of the folder, also those of others."""
        return {**self._others(), **self.tracks}

    def _others(self) -> Tracks:
        try:
            found = read_tracks(self.path)
        except MediaError:
            return {}
        return {name: info for name, info in found.items() if name not in self.tracks and not self._owns(info)}

    def _owns(self, info: TrackInfo) -> bool:
        return info.run == self.run and info.node == self.node

    def load(self) -> Tracks:
        """What a dead recorder left of this run. Raises MediaError for a damaged sidecar."""
        found = read_folder(self.folder)
        self.tracks = {name: info for name, info in found.items() if self._owns(info)}
        return self.tracks


def journal_of(node: str) -> str:
    """The name of a recorder's journal."""
    return f".take.{node.replace('/', '_')}.journal"


def text_of(tracks: Tracks) -> str:
    """The file as it is written."""
    entries = {name: asdict(info) for name, info in tracks.items()}
    return json.dumps({"version": VERSION, "tracks": entries}, indent=1) + "\n"


def read_tracks(path: Path) -> Tracks:
    """The entries of a sidecar, none where there is no file. Raises MediaError for one that is damaged."""
    known = {each.name for each in fields(TrackInfo)}
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        raw = {str(name): {key: info[key] for key in info if key in known} for name, info in document["tracks"].items()}
        tracks = {name: TrackInfo(**info) for name, info in raw.items()}
        for info in tracks.values():
            _check(info)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MediaError(f"{path}: is not the sidecar of a take ({error})") from error
    return tracks


def _check(info: TrackInfo) -> None:
    """Raises ValueError for what no recorder writes: a file elsewhere, spans that are none."""
    if not info.file or Path(info.file).name != info.file or int(info.rate) < 1:
        raise ValueError(f"file {info.file!r} at {info.rate!r} Hz")
    for kind in KINDS:
        for span in getattr(info, kind):
            span["at"], span["samples"] = int(span["at"]), int(span["samples"])


def read_folder(folder: Path) -> Tracks:
    """The entries of a folder's sidecar, with what their recorders' journals add. Raises MediaError for a damaged one.

    A journal that a dead recorder of another name left says nothing of the tracks that are called the same now.
    """
    tracks = read_tracks(folder / SIDECAR)
    for journal in sorted(folder.glob(JOURNALS)):
        for name, kind, at, samples in _entries(journal):
            if name in tracks and kind in KINDS and journal.name == journal_of(tracks[name].node):
                tracks[name].note(kind, int(at), int(samples))
    return tracks


def _entries(journal: Path) -> Iterator[list[Any]]:
    """The lines of a journal, without one that was torn."""
    for line in journal.read_text(errors="replace", encoding="utf-8").split("\n")[:-1]:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, list) and len(entry) == 4:
            yield entry


def _refused(path: Path, error: OSError) -> PipelineError:
    return PipelineError(f"recording {path}: {error.strerror or error}")
