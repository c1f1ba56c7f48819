"""Streaming source separation: which frames a model sees when, and what comes out when.

A model sees windows of frames and answers with a mask or a spectrum for each stem; everything in time (framing,
lookahead, the hop between inferences, overlap-add) is here and the same for every model. Windows lie on a grid that
is anchored at sample 0 (`grid`), so any chunking of the input gives the same output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future

import numpy as np

from audio_pipeline import threads
from audio_pipeline.dsp.normalise import SlowNormaliser
from audio_pipeline.dsp.stft import Analyser
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.separation.grid import Cut, Grid, Rung
from audio_pipeline.models.separation.render import MaskMean, Renderer, Rows
from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.types import (
    DEFAULT,
    OFFLINE,
    Array,
    Described,
    Latency,
    Model,
    SeparatorSettings,
    Window,
    stated_latency,
)

FEED = 512  # frames at a time into a one-shot separation
AHEAD = 1  # windows that wait behind the one that is computed


class SeparatorStream:
    """One stream: `push` sound, answer each `pending` window by `accept` or `skip`, and at the end `flush`.

    N samples in give N samples out at the same positions. All methods belong to one thread; only the model
    may run in another.
    """

    def __init__(self, model: Described, settings: SeparatorSettings = DEFAULT) -> None:
        self.model, self.settings, self.spec = model, settings, model.spec
        spec, mode = model.spec, model.spec.mode(settings.mode)
        self._grid, self._sliding = Grid(spec, settings), mode.sliding
        outputs = settings.outputs or {stem: {stem: 1.0} for stem in spec.stems}
        self._renderer = Renderer(spec, outputs, residual=settings.residual)
        self._mean = MaskMean(mode.decay)
        self._analyser = Analyser(spec.stft, spec.channels)
        self._level = _normaliser(spec, settings)
        self.reset()

    def reset(self) -> None:
        """Forgets the sound and starts again at sample 0; gains stay."""
        self._analyser.reset()
        self._renderer.reset()
        self._mean.forget()
        self._grid.reset()
        if self._level:
            self._level.reset()
        masked = self.spec.representation == "magnitude"
        self._frames = Rows((self.spec.bins, self.spec.channels), np.float32 if masked else np.complex64)
        self._blocks: Array = np.zeros((0, self.spec.channels), np.float32)
        self._received = 0
        self._end: int | None = None
        self._waiting: deque[Window] = deque()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return self._renderer.outputs

    @property
    def latency(self) -> Latency:
        """The terms of the algorithmic latency in samples."""
        return stated_latency(self.spec, self.settings)

    @property
    def latency_samples(self) -> int:
        """Their sum."""
        return self.latency.total

    @property
    def finished(self) -> bool:
        """Whether the stream was flushed and every sample has come out."""
        return self._exhausted and not self._waiting

    @property
    def _exhausted(self) -> bool:
        return self._end is not None and self._grid.reached >= self._end

    @property
    def rung(self) -> Rung:
        """How the next window will be cut."""
        return self._grid.rung

    def take_rung(self, rung: Rung) -> None:
        """Cuts windows in another way from the next one on; of the same latency, so that nothing comes late."""
        if rung.lookahead + rung.hop != self._grid.rung.lookahead + self._grid.rung.hop:
            raise ValueError(f"{rung} has another latency than {self._grid.rung}")
        self._grid.rung = rung

    def set_gains(self, output: str, gains: Mapping[str, float], position: int = 0) -> int:
        """Moves the gain of stems in an output over one frame from `position` on, or as soon as is still
        possible, and returns the sample at which the ramp starts."""
        return self._renderer.set_gains(output, gains, position)

    def push(self, x: Array) -> None:
        """Takes sound (samples, channels) at the model's rate."""
        if x.ndim != 2 or x.shape[1] != self.spec.channels:
            raise ValueError(f"expected sound of shape (samples, {self.spec.channels}), got {x.shape}")
        if self._end is not None:
            raise ValueError("the stream was flushed: reset it before more sound")
        self._received += len(x)
        self._take(x.astype(np.float32, copy=False))

    def flush(self) -> None:
        """Ends the stream: the windows of the tail become pending."""
        if self._end is None:
            self._end = self._received
            stft = self.spec.stft
            covered = -(-self._end // stft.hop) * stft.hop + stft.frame - stft.hop
            self._take(np.zeros((covered - self._end, self.spec.channels), np.float32))

    def pending(self, ahead: int = 0) -> Window | None:
        """The oldest window that waits for an answer, or the one `ahead` places behind it; None if there is none.

        It is the same one until it was answered. Windows are answered in their order.
        """
        ended = self._end is not None
        while len(self._waiting) <= ahead and not self._exhausted:
            if not self._grid.ready(self._frames.count, ended=ended):
                break
            cut = self._grid.advance(self._frames.count, ended=ended)
            if cut.stop > cut.start:  # nothing becomes final before the first frames are complete
                self._waiting.append(self._window(cut))
        return self._waiting[ahead] if ahead < len(self._waiting) else None

    def accept(self, window: Window, answer: Array) -> dict[str, Array]:
        """Samples [start, stop) of each output, from the model's answer (stems, wanted, bins, channels)."""
        mean = self._mean.add(window.first_frame + window.wanted.start, answer)
        return self._render(window, mean, np.zeros(len(self.spec.stems), np.float32))

    def skip(self, window: Window) -> dict[str, Array]:
        """The same samples without the model: the fallback stem is the mixture and all others are silent."""
        shown = window.frames[window.wanted.start : window.wanted.stop]
        answer = np.zeros((len(self.spec.stems), *shown.shape), shown.dtype)
        answer[self.spec.fallback_index] = 1.0 if self.spec.representation == "magnitude" else shown
        self._mean.forget()
        return self._render(window, answer, np.eye(len(self.spec.stems), dtype=np.float32)[self.spec.fallback_index])

    def _render(self, window: Window, answer: Array, above: Array) -> dict[str, Array]:
        if not self._waiting or window is not self._waiting[0]:
            raise ValueError(f"window {window.index} is not the pending one")
        first = window.first_frame + window.wanted.start
        sound = self._renderer.render(answer[:, : window.final - first], first, above=above, refined=self._sliding)
        self._waiting.popleft()
        self._frames.forget(self._grid.oldest(window.first_frame + len(window.frames) - 1))
        return {name: samples[: window.stop - window.start] for name, samples in sound.items()}

    def _take(self, x: Array) -> None:
        blocks = np.concatenate([self._blocks, x])
        hop = self.spec.stft.hop
        whole = len(blocks) // hop
        self._blocks = blocks[whole * hop :]
        spectra = self._analyser.process(x)
        self._renderer.add(spectra, blocks[: whole * hop].reshape(whole, hop, self.spec.channels))
        seen = spectra[:, :, : self.spec.bins].transpose(0, 2, 1)
        frames = np.abs(seen) if self.spec.representation == "magnitude" else seen
        if self._level:
            gains = self._level.process(x)
            frames[len(frames) - len(gains) :] *= gains[:, None, None]
        self._frames.append(frames)

    def _window(self, cut: Cut) -> Window:
        start, stop = max(cut.first, 0), min(cut.last + 1, self._frames.count)
        known = self._frames.view(start, stop)
        frames = np.zeros((cut.last + 1 - cut.first, *known.shape[1:]), known.dtype)
        frames[start - cut.first : stop - cut.first] = known
        if not self.spec.stateful:
            mirror(frames, start - cut.first)
        frames.flags.writeable = False
        end = cut.stop if self._end is None else min(cut.stop, self._end)
        complete = min(cut.last * self.spec.stft.hop, self._received)
        return Window(cut.index, frames, cut.first, cut.wanted, cut.start, end, complete, cut.final)


def _normaliser(spec: ModelSpec, settings: SeparatorSettings) -> SlowNormaliser | None:
    """Brings quiet music to the level of the training; masks do not depend on the gain, spectra would."""
    if settings.normalise is None:
        return None
    if spec.representation != "magnitude":
        raise ConfigError(f"normalise: expected no normalisation for {spec.name}, which answers with spectra")
    return SlowNormaliser(spec.rate, settings.normalise)


def mirror(magnitudes: Array, start: int) -> None:
    """Fills the frames before `start`, where a stream is younger than its window, with its own mirror image.

    Frames of silence there would cost more than 1 dB of the voice in the first second and a half.
    """
    if start > 0:
        known = len(magnitudes) - start
        steps = np.arange(start, 0, -1) % max(2 * known - 2, 1)
        magnitudes[:start] = magnitudes[start + np.minimum(steps, 2 * known - 2 - steps)]


def separate(
    model: Model, x: Array, settings: SeparatorSettings = OFFLINE, rung: Rung | None = None
) -> dict[str, Array]:
    """One-shot separation of sound (samples, channels): the streaming wrapper, with analysis, inference and rendering
    of successive windows side by side; on another rung of the settings' ladder if one is given."""
    stream = SeparatorStream(model, settings)
    stream.take_rung(rung or stream.rung)
    done: dict[str, list[Array]] = {name: [np.zeros((0, model.spec.channels), np.float32)] for name in stream.outputs}
    with threads.pool("inference") as pool:
        for sound in _answers(stream, model, x, pool):
            for name, samples in sound.items():
                done[name].append(samples)
    return {name: np.concatenate(parts) for name, parts in done.items()}


def _answers(stream: SeparatorStream, model: Model, x: Array, pool: Executor) -> Iterator[dict[str, Array]]:
    state, feed = model.initial_state(), FEED * stream.spec.stft.hop
    jobs: deque[tuple[Window, Future[Array]]] = deque()

    def infer(window: Window) -> Array:
        nonlocal state  # one thread, and windows in their order
        answers, (state,) = model.step([window], [state])
        answer: Array = answers[0]
        return answer

    def advance(keep: int) -> Iterator[dict[str, Array]]:
        while True:
            while len(jobs) <= AHEAD and (window := stream.pending(len(jobs))) is not None:
                jobs.append((window, pool.submit(infer, window)))
            if len(jobs) <= keep:
                return
            window, job = jobs.popleft()
            yield stream.accept(window, job.result())

    for at in range(0, len(x), feed):
        stream.push(x[at : at + feed])
        yield from advance(AHEAD)
    stream.flush()
    yield from advance(0)
