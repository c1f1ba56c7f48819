"""`take.json`: what a take's tracks are and which of their samples are not the stream's own.

It is rewritten now and then, and each new fact is appended to a journal beside it before the sound that it
speaks of is written: a recorder killed at any moment leaves no silence that is not stated.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.private_file import write_whole

SIDECAR = "take.json"
JOURNAL = ".take.journal"
VERSION = 1
Span = dict[str, int]  # {"at": file sample, "samples": how many}


@dataclass
class TrackInfo:
    """What the sidecar says of one track; `at` counts file samples."""

    file: str
    rate: int
    base_position: int
    samples: int = 0
    gaps: list[Span] = field(default_factory=list)  # silence where nothing came
    concealed: list[Span] = field(default_factory=list)  # not silence, but a stand-in that a node made up
    jumps: list[Span] = field(default_factory=list)  # positions left out: nothing was written for them

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
        for spans in (self.gaps, self.concealed):
            while spans and spans[-1]["at"] >= samples:
                spans.pop()
            if spans:
                spans[-1]["samples"] = min(spans[-1]["samples"], samples - spans[-1]["at"])


class Sidecar:
    """The tracks of a folder's take, on disk at any moment. PipelineError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.path, self._journal = folder / SIDECAR, folder / JOURNAL
        self.tracks: dict[str, TrackInfo] = {}

    def note(self, name: str, kind: str, at: int, samples: int) -> None:
        """As `TrackInfo.note`, and on disk at once."""
        self.tracks[name].note(kind, at, samples)
        try:
            with self._journal.open("a") as file:
                file.write(json.dumps([name, kind, at, samples]) + "\n")
        except OSError as error:
            raise _refused(self._journal, error) from error

    def save(self) -> None:
        """Writes everything anew; a reader sees the old file or the new one, never half."""
        tracks = {name: asdict(info) for name, info in self.tracks.items()}
        text = json.dumps({"version": VERSION, "tracks": tracks}, indent=1)
        try:
            write_whole(self.path, text + "\n", sync=False)
            self._journal.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(self.path, error) from error

    def clear(self) -> None:
        """A new take: what a dead recorder's journal says is of another one."""
        self._journal.unlink(missing_ok=True)

    def load(self) -> dict[str, TrackInfo]:
        """What a dead recorder left. Raises MediaError for a damaged sidecar."""
        try:
            document: dict[str, Any] = json.loads(self.path.read_text())
            self.tracks = {name: TrackInfo(**info) for name, info in document["tracks"].items()}
        except FileNotFoundError:
            self.tracks = {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise MediaError(f"{self.path}: is not the sidecar of a take ({error})") from error
        for name, kind, at, samples in self._journalled():
            if name in self.tracks and kind in ("gaps", "concealed", "jumps"):
                self.tracks[name].note(kind, int(at), int(samples))
        return self.tracks

    def _journalled(self) -> list[tuple[str, str, int, int]]:
        lines = self._journal.read_text(errors="replace").split("\n")[:-1] if self._journal.exists() else []
        return [tuple(entry) for entry in map(_entry, lines) if entry]


def _entry(line: str) -> list[Any] | None:
    """A line of the journal, None for one that was torn."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, list) and len(entry) == 4 else None


def _refused(path: Path, error: OSError) -> PipelineError:
    return PipelineError(f"recording {path}: {error.strerror or error}")
