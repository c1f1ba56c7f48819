"""The search behind `fit.refine`: Adam on the timbre half of a style, up the gradient of GE2E's likeness.

Every step decodes 1.65 s of another sentence in the style so far, embeds it, and follows the cosine to the reference's
embedding back through both networks. Pitch and tempo stay as the quick fit chose them, so all that does not depend on
the timbre is computed once. A prior keeps the style where voices are: its principal coordinates near the stock voices,
and little outside of their span. What is returned is an average over steps, the one that other sentences liked best.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.hearing.ge2e_torch import SpeakerEncoderTorch
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.kokoro_torch import KokoroTorch
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.voices import fit as voice_fit
from audio_pipeline.models.voices.adam import State
from audio_pipeline.models.voices.checkpoint import load_state, save_state
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.voices.interrupt import Cancelled, interruptible
from audio_pipeline.models.voices.quick import trained
from audio_pipeline.models.voices.reference import LEVEL_DB, Reference
from audio_pipeline.models.voices.space import HALF
from audio_pipeline.models.voices.texts import CHECK, REPORT, SEARCH
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.tensors import FILE

Array = np.ndarray[Any, np.dtype[np.float32]]

FRAMES = 66  # of 25 ms in a step: one look of the encoder
EDGE = 12  # frames at both ends of a sentence that are silence
LEVEL = 10 ** (LEVEL_DB / 20)
RATE, RATE_FALLS = 0.02, 60.0  # how large the steps are, and after how many steps half as large
PRIOR, OUTSIDE = 0.02, 0.2  # weight of the prior; variance that may lie outside the stock voices' axes
CHECK_EVERY = 20
PATIENCE = 4  # checks without a better one
MEASURING = 0.15  # of the time, for saying the sentences of the report
CHECKS_LEFT = 2  # as long as so many checks are the last one and the report, on a host that is slow


@dataclass(frozen=True)
class Plan:
    """How long, where and from which seed; `steps` bounds the search besides the time."""

    seconds: float = 300.0
    device: str | None = None
    seed: int = 0
    checkpoint_folder: Path | None = None
    steps: int = 1_000


@dataclass(frozen=True, eq=False)
class Line:
    """One sentence in the fitted prosody, ready to be decoded in any timbre."""

    sounds: Tensor  # (1, 512, frames)
    pitch: Tensor  # (1, 2 * frames)
    energy: Tensor  # (1, 2 * frames)

    def excerpt(self, first: int) -> tuple[Tensor, Tensor, Tensor]:
        fine = slice(2 * first, 2 * (first + FRAMES))
        return self.sounds[:, :, first : first + FRAMES], self.pitch[:, fine], self.energy[:, fine]

    def starts(self) -> range:
        """Where an excerpt may begin."""
        return range(EDGE, max(EDGE + 1, self.sounds.shape[2] - FRAMES - EDGE))


def chosen_device(asked: str | None) -> str:
    """CUDA where it is there, unless something is asked for. Raises ConfigError where that is missing."""
    device = asked or ("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise ConfigError(f"voice refine: unknown device {device!r}, expected 'cpu' or 'cuda'")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("voice refine: device 'cuda' is set, but PyTorch finds no GPU here")
    return device


class Search:
    """Everything that stays the same from step to step."""

    def __init__(self, reference: Reference, start: Fit, device: str) -> None:
        self.speaker = KokoroTorch(store.path("kokoro", kokoro.MODEL).parent, device)
        self.encoder = SpeakerEncoderTorch(store.path("ge2e", FILE)).to(self.speaker.device)
        assert next(self.encoder.parameters()).device.type == device
        self.target = torch.from_numpy(reference.embedding).to(device)
        style = torch.from_numpy(kokoro.row(start.pack, kokoro.ROWS)).to(device)
        self.timbre, self._manner = style[:HALF].clone(), style[None, HALF:]
        axes = trained().timbre
        self._mean, self._axes = (torch.from_numpy(part).to(device) for part in (axes.mean, axes.axes))
        self._start = start
        self._lines: dict[int, Line] = {}  # as they are drawn: a short search needs few of them
        self._checks = [self._line(text, start) for text in CHECK]

    @torch.no_grad()
    def _line(self, text: str, start: Fit) -> Line:
        known = self.speaker.text(to_phonemes(text, british=start.british))
        prosody = self.speaker.prosody(known, self._manner, start.speed)
        return Line(known.sounds.repeat_interleave(prosody.durations, dim=2), prosody.pitch, prosody.energy)

    def _drawn(self, number: int) -> Line:
        if number not in self._lines:
            self._lines[number] = self._line(SEARCH[number], self._start)
        return self._lines[number]

    def embedding_of(self, line: Line, first: int, timbre: Tensor) -> Tensor:
        """The embedding (256,) of an excerpt in a timbre (128,)."""
        with bfloat16(self.speaker.device):
            sound = self.speaker.decode(*line.excerpt(first), timbre[None]).float()
        loudness = sound.detach().square().mean().sqrt().clamp(min=1e-6)
        embedding: Tensor = self.encoder(sound * (LEVEL / loudness))[0]
        return embedding

    def gradient(self, timbre: Array, rng: np.random.Generator) -> Array:
        """Of what is to be made small, at one excerpt drawn by chance."""
        line = self._drawn(int(rng.integers(len(SEARCH))))
        point = torch.from_numpy(timbre).to(self.speaker.device).requires_grad_()
        likeness = self.embedding_of(line, int(rng.choice(line.starts())), point) @ self.target
        loss = PRIOR * self.strangeness(point) - likeness
        (found,) = torch.autograd.grad(loss, point)
        return np.asarray(found.cpu().numpy(), np.float32)

    def strangeness(self, timbre: Tensor) -> Tensor:
        """Mean square of the principal coordinates, and what lies outside of them."""
        coordinates = (timbre - self._mean) @ self._axes.T / self._axes.square().sum(dim=1)
        rest = timbre - self._mean - coordinates @ self._axes
        return coordinates.square().mean() + rest.square().sum() / OUTSIDE

    @torch.no_grad()
    def check(self, timbre: Array) -> float:
        """Likeness on sentences that the search does not follow."""
        point = torch.from_numpy(timbre).to(self.speaker.device)
        embeddings = [self.embedding_of(line, line.starts()[len(line.starts()) // 2], point) for line in self._checks]
        return float(torch.nn.functional.normalize(torch.stack(embeddings).mean(dim=0), dim=0) @ self.target)


def bfloat16(device: torch.device) -> Any:
    """Half the numbers' width where the processor multiplies it twice as fast; a GPU is fast enough as it is."""
    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = known.get("avx512_bf16", False) or known.get("amx_bf16", False)
    return torch.autocast("cpu", torch.bfloat16) if device.type == "cpu" and fast else nullcontext()


def refine(
    reference: Reference,
    start: Fit,
    plan: Plan,
    progress: voice_fit.Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Fit:
    """See `fit.refine`."""
    began = time.monotonic()
    search = Search(reference, start, chosen_device(plan.device))
    state = load_state(plan.checkpoint_folder, reference, start) or State.at(search.timbre.cpu().numpy())
    try:
        with interruptible(search.speaker.network.decoder, cancelled):
            climb(search, state, plan, began + plan.seconds * (1 - MEASURING), progress)
    except Cancelled:
        return closed(start, state)
    finally:
        save_state(plan.checkpoint_folder, reference, start, state)
    if state.best_step == 0:
        return start
    return voice_fit.measured(closed(start, state), reference, kokoro.load(), ge2e.load(), REPORT[:3])


def closed(start: Fit, state: State) -> Fit:
    """The best style so far as a fit; the start where nothing was better."""
    if state.best_step == 0:
        return start
    style = np.concatenate([state.best, kokoro.row(start.pack, kokoro.ROWS)[HALF:]])
    return replace(start, pack=style[None], method="refined", fitted_likeness=None)


def climb(search: Search, state: State, plan: Plan, until: float, progress: voice_fit.Progress | None) -> None:
    """Steps until the time, the steps or the patience are used up; `state` changes in place."""
    slowest_s = 0.0
    if state.step == 0 and time.monotonic() < until:
        slowest_s = judged(search, state)
    while (
        state.step < plan.steps
        and time.monotonic() + CHECKS_LEFT * slowest_s < until
        and state.checks_since_best < PATIENCE
    ):
        rng = np.random.default_rng([plan.seed, state.step])
        state.descend(search.gradient(state.point, rng), RATE / (1 + state.step / RATE_FALLS))
        if state.step % CHECK_EVERY == 0:
            slowest_s = max(slowest_s, judged(search, state))
        if progress:
            progress(state.step, state.best_likeness, max(0.0, until - time.monotonic()))
    if state.step % CHECK_EVERY:
        judged(search, state)


def judged(search: Search, state: State) -> float:
    """Checks the average of a search; how many seconds that took."""
    began = time.monotonic()
    state.judge(search.check(state.average))
    return time.monotonic() - began
