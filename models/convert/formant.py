"""Finds the formant warp between two speakers: a guess after a second of voice, a search by ear of a network later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.dsp.envelope import colouring, likely_factor, mean_shape
from audio_pipeline.dsp.pitch import PitchSpread, matched
from audio_pipeline.models.convert import world
from audio_pipeline.models.convert.target import Target
from audio_pipeline.models.convert.world_voice import Stretch, WorldConverter, moved
from audio_pipeline.models.hearing import speech
from audio_pipeline.models.hearing.ge2e import similarity

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.ge2e import SpeakerEncoder

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Job = Callable[[], None]

GUESS_FRAMES = 200  # voiced: a second
SEARCH_SAMPLES = 4 * world.RATE  # of speech
SPOKEN = 0.3  # voiced share of a stretch that counts as speech
AROUND = np.exp(np.linspace(-0.16, 0.16, 5))  # factors tried, relative to the guess; then halfway to the neighbours
STRAYING = 0.02  # likeness by which a factor at the end of that span must be better


@dataclass(frozen=True)
class Finding:
    """What was found: `how` is 'guess', 'search' or 'given'; likeness to the target (0 to 1) only by a search."""

    formant: float
    how: str
    likeness: float = 0.0
    likeness_before: float = 0.0  # of the speaker's own sound


class Calibration:
    """Listens to what a `WorldConverter` hears and sets its formants and colour.

    `run` executes the search: at once, or in a thread; what it finds holds from the next window on.
    """

    def __init__(
        self,
        target: Target,
        encoder: SpeakerEncoder | None,
        given: float | None,
        colour: float,
        run: Callable[[Job], object] = lambda job: job(),
    ) -> None:
        self.target, self._encoder, self._given, self._run = target, encoder, given, run
        self.amount = colour
        self.converter: WorldConverter | None = None
        self._turn = 0  # searches of an earlier one are not wanted any more
        self.findings: list[Finding] = []  # that nobody was notified of yet, in order
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another speaker, or a wish to have it found again."""
        self._total, self._voiced = np.zeros(0), 0
        self._speech: list[Floats] = []
        self._newest: Finding | None = None
        self._found: Finding | None = None  # by the search, not applied yet
        self._turn += 1
        self._searching: object = None  # a future, where a thread does it
        self._state = "listening"

    def state(self) -> dict[str, object]:
        """What was found, for a successor; plain values."""
        if self._newest is None:
            return {}
        shape = [float(value) for value in self._shape]
        return {"formant": self._newest.formant, "found": self._newest.how, "shape": shape}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Knows what a predecessor found; a guess is searched anew."""
        self.begin_anew()
        if "formant" not in state:
            return
        self._total, self._voiced = np.array(state["shape"]) * GUESS_FRAMES, GUESS_FRAMES
        formant = self._given or float(state["formant"])
        self._apply(Finding(formant, str(state["found"])))
        self._state = "done" if state["found"] != "guess" else "guessed"
        self.findings.clear()

    def give(self, formant: float | None) -> None:
        """A factor said by hand; None: it is to be found."""
        self._given = formant
        self.begin_anew()
        if formant is not None and self.converter is not None:
            self.converter.warp(formant)

    def add(self, stretch: Stretch) -> None:
        """Takes a stretch of the source."""
        self._gather(stretch)
        if self._state == "listening" and self._voiced >= GUESS_FRAMES:
            self._state = "guessed"
            self._apply(self._guess())
        if self._state == "guessed" and sum(len(x) for x in self._speech) >= SEARCH_SAMPLES:
            self._state = "done"
            self._begin_search()
        if isinstance(self._searching, Future) and self._searching.done():
            self._searching.result()  # raises what it raised
            self._searching = None
        if self._found is not None and self._searching is None:
            found, self._found = self._found, None
            self._apply(found)

    def _gather(self, stretch: Stretch) -> None:
        if self._state == "done":
            return
        voiced = stretch.f0 > 0
        if voiced.mean() > SPOKEN:
            self._speech.append(stretch.sound)
        if voiced.any():
            shape = mean_shape(stretch.envelope[voiced], world.RATE) * voiced.sum()
            self._total = shape + (self._total if self._voiced else 0.0)
            self._voiced += int(voiced.sum())

    def _guess(self) -> Finding:
        if self._given is not None:
            return Finding(self._given, "given")
        return Finding(likely_factor(self._shape, self.target.shape, self._ratio), "guess")

    @property
    def _shape(self) -> Floats:
        return self._total / self._voiced

    @property
    def _ratio(self) -> float:
        assert self.converter is not None
        return self.target.pitch.mean - self.converter.statistics.spread.mean

    def _apply(self, found: Finding) -> None:
        assert self.converter is not None
        self.converter.warp(found.formant)
        curve = colouring(self._shape, self.target.shape, found.formant, world.BINS, world.RATE)
        self.converter.colour(curve * self.amount)
        self._newest = found
        self.findings.append(found)

    def _begin_search(self) -> None:
        guess, encoder = self._guess(), self._encoder
        if guess.how == "given" or encoder is None or self.converter is None:
            self._apply(guess)
            return
        clip, spread, shape = np.concatenate(self._speech), self.converter.statistics.spread, self._shape
        self._speech = []

        turn = self._turn

        def job() -> None:
            search = Search(clip, spread, shape, self.target, encoder, self.amount)
            for found in search.steps(guess.formant):
                if turn != self._turn:
                    return
                self._found = found

        self._searching = self._run(job)

    def close(self) -> None:
        """A search that is under way ends before its next factor."""
        self._turn += 1


class Search:
    """Tries factors on mono speech (samples,) at WORLD's rate, for the one that comes out most like the target."""

    def __init__(
        self, clip: Floats, spread: PitchSpread, shape: Floats, target: Target, encoder: SpeakerEncoder, colour: float
    ) -> None:
        self._clip, self._shape, self._target, self._encoder, self._colour = clip, shape, target, encoder, colour
        self._frames = world.analysed(clip, world.pitch(clip))
        self._f0 = matched(self._frames.f0, spread, target.pitch)
        self._scores: dict[float, float] = {}

    def steps(self, guess: float) -> Iterator[Finding]:
        """What is best so far after each factor: some around the guess, then halfway to the best one's neighbours."""
        before = _likeness(self._clip.astype(np.float32), self._target, self._encoder)
        step = float(np.sqrt(AROUND[1] / AROUND[0]))
        for factor in AROUND * guess:
            yield self._tried(factor, guess, before)
        best = _best(self._scores, guess)
        for factor in (best / step, best * step):
            yield self._tried(factor, guess, before)

    def _tried(self, factor: float, guess: float, before: float) -> Finding:
        curve = colouring(self._shape, self._target.shape, factor, world.BINS, world.RATE) * self._colour
        y = moved(self._clip, self._frames, self._f0, np.full(len(self._f0), factor), curve)
        self._scores[float(factor)] = _likeness(y, self._target, self._encoder)
        best = _best(self._scores, guess)
        return Finding(best, "search", self._scores[best], before)


def _best(scores: dict[float, float], guess: float) -> float:
    """The factor of the highest score; far ones pay for being far, as the network likes any strange voice a little."""
    reach = float(np.log(AROUND[-1]))
    return max(scores, key=lambda factor: scores[factor] - STRAYING * (np.log(factor / guess) / reach) ** 2)


def _likeness(x: Array, target: Target, encoder: SpeakerEncoder) -> float:
    speech_only = speech.prepare(x[:, None], world.RATE)
    return similarity(encoder.utterance(speech_only), target.embedding) if len(speech_only) else 0.0
