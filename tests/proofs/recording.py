"""What a recording holds, sample by sample, against what it says of itself and against the song."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from audio_pipeline.control.events import NodeEvent

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Recorded:
    """One track: (n, channels), the content position of each sample, and which samples are the stream's own."""

    audio: Samples
    positions: NDArray[np.int64]
    stated: NDArray[np.bool_]  # True where the sidecar says that nothing came
    concealed: NDArray[np.bool_]  # True where it says that something stood in
    gaps: list[dict[str, int]]

    @property
    def silent(self) -> NDArray[np.bool_]:
        """Digital silence on all channels."""
        return ~self.audio.any(axis=1)

    def between(self, first: int, end: int) -> Recorded:
        """Its samples from content position `first` up to `end`."""
        part = slice(*np.searchsorted(self.positions, [first, end]))
        return Recorded(self.audio[part], self.positions[part], self.stated[part], self.concealed[part], self.gaps)

    def after(self, first: int) -> Recorded:
        """Its samples from content position `first` on."""
        return self.between(first, int(self.positions[-1]) + 1)

    def unstated_silence(self, at_least: int) -> int:
        """Samples in silent runs of `at_least` and more that the sidecar does not speak of."""
        quiet = (self.silent & ~self.stated & ~self.concealed).astype(np.int8)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]])))
        lengths = edges[1::2] - edges[::2]
        return int(lengths[lengths >= at_least].sum())


def recorded(folder: Path, name: str) -> Recorded:
    """A track of the take in a folder; raises where it cannot be opened."""
    info: dict[str, Any] = json.loads((folder / "take.json").read_text())["tracks"][name]
    audio, rate = soundfile.read(folder / info["file"], dtype="float32", always_2d=True)
    assert rate == info["rate"]
    positions = info["base_position"] + np.arange(len(audio), dtype=np.int64)
    for jump in info["jumps"]:
        positions[jump["at"] :] += jump["samples"]
    stated, concealed = _mask(info["gaps"], len(audio)), _mask(info["concealed"], len(audio))
    return Recorded(audio, positions, stated, concealed, info["gaps"])


def _mask(spans: Sequence[Mapping[str, int]], n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, bool)
    for span in spans:
        mask[span["at"] : span["at"] + span["samples"]] = True
    return mask


def played(positions: NDArray[np.int64], maps: Sequence[NodeEvent], song: Samples, rate: int) -> Samples:
    """What the song's own `media` events say lies at each position; the song loops."""
    place = np.zeros(len(positions), np.int64)
    for event in maps:  # a later word holds from its position on
        after = positions >= event.position
        place[after] = round(event.data["media_s"] * rate) + positions[after] - event.position
    return song[place % len(song)]
