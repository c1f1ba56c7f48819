"""From answers to sound: applies masks, or takes spectra, with live gains, and overlaps the frames.

Block b, samples [b*hop, (b+1)*hop), is covered by frames b+1 .. b+overlap. A frame's contribution may change
from one block to the next, because a later inference saw more of its future or because a gain moved; the
first block after such a change is a linear cross-fade from the old contributions to the new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.models.separation.spec import ModelSpec

Array = np.ndarray[Any, np.dtype[Any]]


class Rows:
    """Rows numbered from 0 that are appended at the end and forgotten at the front."""

    def __init__(self, row: tuple[int, ...], dtype: type) -> None:
        self._data: Array = np.zeros((64, *row), dtype)
        self._at = 0  # where the first row that is still here lies
        self.first = self.count = 0

    def append(self, rows: Array) -> None:
        """Adds rows, moving the held ones to the front of the store, or to a larger one, when it is full."""
        held = self.count - self.first
        if self._at + held + len(rows) > len(self._data):
            size = max(len(self._data), 2 * (held + len(rows)))
            moved = np.zeros((size, *self._data.shape[1:]), self._data.dtype)
            moved[:held] = self._data[self._at : self._at + held]
            self._data, self._at = moved, 0
        self._data[self._at + held : self._at + held + len(rows)] = rows
        self.count += len(rows)

    def view(self, start: int, stop: int) -> Array:
        """Rows start .. stop, which must still be here."""
        if not self.first <= start <= stop <= self.count:
            raise IndexError(f"rows {start} .. {stop} are not in {self.first} .. {self.count}")
        shift = self._at - self.first
        return self._data[start + shift : stop + shift]

    def forget(self, before: int) -> None:
        """Drops the rows before a number."""
        gone = min(before, self.count) - self.first
        if gone > 0:
            self._at += gone
            self.first += gone


class MaskMean:
    """The mean of the masks that successive windows gave to a frame, each older one weighing `decay` as much.

    Windows at different offsets err differently: the network's stride makes its answer depend on the offset.
    """

    def __init__(self, decay: float) -> None:
        self._decay = np.float32(decay)
        self.forget()

    def forget(self) -> None:
        """Begins anew with the next masks."""
        self._first = 0
        self._total: Array | None = None  # (stems, frames, bins, channels), with the newest at weight 1
        self._weights: Array = np.zeros(0, np.float32)

    def add(self, first: int, masks: Array) -> Array:
        """The mean so far for the frames of masks (stems, frames, bins, channels), from frame `first` on."""
        if not self._decay:
            return masks
        total, weights = masks.copy(), np.ones(masks.shape[1], np.float32)
        if self._total is not None:
            again = self._weights[first - self._first :]
            weights[: len(again)] += self._decay * again
            total[:, : len(again)] += self._decay * self._total[:, first - self._first :]
        self._first, self._total, self._weights = first, total, weights
        mean: Array = total / weights[:, None, None]
        return mean


class Renderer:
    """Turns answers for successive frames into blocks of each output.

    `outputs` maps a name to the gain of each stem in it. With `residual` the last stem is the mixture minus
    all others over the full band, so that stems add up to the mixture to the last bit of float32.
    """

    def __init__(
        self,
        spec: ModelSpec,
        outputs: Mapping[str, Mapping[str, float]],
        *,
        residual: bool = False,
    ) -> None:
        if not outputs:
            raise ConfigError("outputs: expected at least one")
        self.stft, self.stems, self.bins, self.channels = spec.stft, spec.stems, spec.bins, spec.channels
        self._masked = spec.representation == "magnitude"
        self.outputs = tuple(outputs)
        self._residual = residual
        self._gains = np.stack([self._vector(gains) for gains in outputs.values()])  # (outputs, stems)
        self._before = self._gains
        self._changes: list[tuple[int, int, Array]] = []  # (block, output, gains by stem)
        self.reset()

    def reset(self) -> None:
        """Starts again at sample 0; gains stay where they were last set."""
        for _, output, gains in self._changes:
            self._gains[output] = gains
        self._changes.clear()
        self._block = 0  # the next to be rendered
        self._pieces: Array | None = None  # of the frames that the next block shares with the last
        self._held: tuple[Array, Array] | None = None  # answers and levels of those frames
        self._spectra = Rows((self.channels, self.stft.bins), np.complex64)
        self._dry = Rows((self.stft.hop, self.channels), np.float32)

    def add(self, spectra: Array, blocks: Array) -> None:
        """Takes the mixture: spectra of further frames and the sound of further blocks (blocks, hop, channels)."""
        self._spectra.append(spectra)
        self._dry.append(blocks)

    def set_gains(self, output: str, gains: Mapping[str, float], position: int) -> int:
        """Moves gains from `position` on, or as soon after as is still open, and returns where the ramp starts."""
        if output not in self.outputs:
            raise ConfigError(f"output {output!r} does not exist{nearest(output, self.outputs)}")
        index = self.outputs.index(output)
        block = max(self._block, -(-position // self.stft.hop))
        later = [change for change in self._changes if change[1] == index]
        latest = max(later, key=lambda change: change[0])[2] if later else self._gains[index]
        self._changes.append((block, index, self._vector(gains, latest)))
        self._changes.sort(key=lambda change: change[0])
        return block * self.stft.hop

    def render(self, answers: Array, first_frame: int, *, above: Array, refined: bool) -> dict[str, Array]:
        """Blocks of every output that answers (stems, frames, bins, channels) from `first_frame` on complete.

        `above` (stems,) is the mask over the bins the network does not see. With `refined` the answers begin
        with the frames that are already out, else they continue where the last ones ended.
        """
        start, stop = self._block, first_frame + answers.shape[1] - self.stft.overlap
        answers = answers[:, max(0, start + 1 - first_frame) :]
        levels = np.repeat(above[:, None].astype(np.float32), answers.shape[1], axis=1)
        if self._held and not refined:
            answers, levels = (np.concatenate(pair, axis=1) for pair in zip(self._held, (answers, levels), strict=True))
        done = [np.zeros((len(self.outputs), 0, self.channels, self.stft.hop), np.float32)]
        cuts = [start, *sorted({c[0] for c in self._changes if start < c[0] < stop}), max(start, stop)]
        for a, b in pairwise(cuts):
            fade = self._take_changes(a) or (refined and a == start)
            span = slice(a - start, b - start + self.stft.overlap - 1)
            done.append(self._segment(a, b, answers[:, span], levels[:, span], fade))
        if stop > start:
            keep = slice(stop - start, stop - start + self.stft.overlap - 1)
            self._held = (answers[:, keep].copy(), levels[:, keep].copy())
            self._block = stop
            self._spectra.forget(stop + 1)
            self._dry.forget(stop)
        sound = np.concatenate(done, axis=1).transpose(0, 1, 3, 2).reshape(len(self.outputs), -1, self.channels)
        return {name: sound[i] for i, name in enumerate(self.outputs)}

    def _take_changes(self, block: int) -> bool:
        """Applies the gain changes that are due; the gains before are still in the held pieces."""
        due = [change for change in self._changes if change[0] <= block]
        self._changes = self._changes[len(due) :]
        self._before = self._gains.copy()
        for _, output, gains in due:
            self._gains[output] = gains
        return bool(due)

    def _segment(self, a: int, b: int, answers: Array, levels: Array, fade: bool) -> Array:
        """Blocks a .. b as (outputs, blocks, channels, hop) at one set of gains, from answers for frames a+1 on."""
        overlap = self.stft.overlap
        old = self._pieces
        if old is not None and not fade:
            fresh = self._contributions(a + overlap, answers[:, overlap - 1 :], levels[:, overlap - 1 :])
            pieces = np.concatenate([old, fresh], axis=1)
        else:
            pieces = self._contributions(a + 1, answers, levels)
        blocks = _total([pieces[:, j : j + b - a, :, overlap - 1 - j] for j in range(overlap)])
        self._add_dry(blocks, a, self._gains)
        if fade and old is not None:
            sounding = [old[:, j : j + 1, :, overlap - 1 - j] for j in range(overlap - 1)]
            first = _total([*sounding, pieces[:, overlap - 1 : overlap, :, 0]])
            self._add_dry(first, a, self._before)
            ramp = (np.arange(self.stft.hop, dtype=np.float32) + 1) / self.stft.hop
            blocks[:, :1] = first + ramp * (blocks[:, :1] - first)
        self._pieces = pieces[:, b - a :].copy()
        return blocks

    def _contributions(self, first: int, answers: Array, levels: Array) -> Array:
        """Windowed frames (outputs, frames, channels, overlap, hop) of the mixed answers."""
        weights = self._gains
        if self._residual:  # what the last stem is not: the dry mixture carries its gain
            weights, answers, levels = weights[:, :-1] - weights[:, -1:], answers[:-1], levels[:-1]
        plain = weights.shape == (len(answers),) * 2 and np.array_equal(weights, np.eye(len(answers)))
        mixed = answers if plain else np.tensordot(weights, answers, 1)
        mixed = mixed.transpose(0, 1, 3, 2)  # (outputs, frames, ch, bins)
        pieces: Array = self.stft.synthesise(self._applied(first, mixed, weights @ levels) if self._masked else mixed)
        return pieces.reshape(*pieces.shape[:-1], self.stft.overlap, self.stft.hop)

    def _applied(self, first: int, masks: Array, levels: Array) -> Array:
        """The mixture's spectra from a frame on under masks (outputs, frames, ch, bins), and a level above them."""
        spectra = self._spectra.view(first, first + masks.shape[1])  # (frames, ch, all bins)
        masked = np.zeros((len(masks), *spectra.shape), np.complex64)
        masked[..., : self.bins] = spectra[..., : self.bins] * masks
        if levels.any():
            masked[..., self.bins :] = spectra[..., self.bins :] * levels[:, :, None, None]
        return masked

    def _add_dry(self, blocks: Array, a: int, gains: Array) -> None:
        if self._residual:
            dry = self._dry.view(a, a + blocks.shape[1]).transpose(0, 2, 1)  # (blocks, ch, hop)
            blocks += gains[:, -1, None, None, None] * dry

    def _vector(self, gains: Mapping[str, float], base: Array | None = None) -> Array:
        vector = np.zeros(len(self.stems), np.float32) if base is None else base.copy()
        for stem, gain in gains.items():
            if stem not in self.stems:
                raise ConfigError(
                    f"stem {stem!r} does not exist{nearest(stem, self.stems)}; the model gives {', '.join(self.stems)}"
                )
            vector[self.stems.index(stem)] = gain
        return vector


def _total(parts: Sequence[Array]) -> Array:
    """The sum in the order given: floating point must add up the same way in every chunking."""
    total: Array = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total
