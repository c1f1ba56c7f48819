"""Streaming source separation with a mask model: which frames the model sees when, and what comes out when.

A model sees windows of magnitudes and answers with masks; everything in time (framing, lookahead, the hop
between inferences, overlap-add) is here and the same for every model. Windows lie on a grid that is anchored
at sample 0 (`grid`), so any chunking of the input gives the same output.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future

import numpy as np

from audio_pipeline import threads
from audio_pipeline.dsp.normalise import SlowNormaliser
from audio_pipeline.dsp.stft import Analyser
from audio_pipeline.models.separation.grid import Cut, Grid, Rung, top_rung
from audio_pipeline.models.separation.render import MaskMean, Renderer, Rows
from audio_pipeline.models.separation.types import (
    CHANNELS,
    DEFAULT,
    HOPS,
    MODES,
    OFFLINE,
    STFT,
    Array,
    Latency,
    Mode,
    Model,
    SeparatorSettings,
    State,
    Window,
    choose_hop,
)

__all__ = [
    "CHANNELS",
    "HOPS",
    "MODES",
    "STFT",
    "Array",
    "Latency",
    "Mode",
    "Model",
    "SeparatorSettings",
    "SeparatorStream",
    "State",
    "Window",
    "choose_hop",
    "separate",
]

FEED = 512 * STFT.hop  # samples at a time into a one-shot separation
AHEAD = 1  # windows that wait behind the one that is computed


class SeparatorStream:
    """One stream: `push` sound, answer each `pending` window by `accept` or `skip`, and at the end `flush`.

    N samples in give N samples out at the same positions. All methods belong to one thread; only the model
    may run in another.
    """

    def __init__(self, model: Model, settings: SeparatorSettings = DEFAULT) -> None:
        self.model, self.settings = model, settings
        mode = MODES[settings.mode]
        self._grid, self._sliding = Grid(top_rung(settings), sliding=mode.sliding), mode.sliding
        outputs = settings.outputs or {stem: {stem: 1.0} for stem in model.stems}
        self._renderer = Renderer(
            STFT, model.stems, outputs, bins=model.bins, channels=CHANNELS, residual=settings.residual
        )
        self._mean = MaskMean(mode.decay)
        self._analyser = Analyser(STFT, CHANNELS)
        self._level = SlowNormaliser(model.rate, settings.normalise) if settings.normalise else None
        self.reset()

    def reset(self) -> None:
        """Forgets the sound and starts again at sample 0; gains stay."""
        self._analyser.reset()
        self._renderer.reset()
        self._mean.forget()
        self._grid.reset()
        if self._level:
            self._level.reset()
        self._magnitudes = Rows((self.model.bins, CHANNELS), np.float32)
        self._blocks: Array = np.zeros((0, CHANNELS), np.float32)
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
        return self.settings.latency

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
        """Takes sound (samples, 2) at the model's rate."""
        if x.ndim != 2 or x.shape[1] != CHANNELS:
            raise ValueError(f"expected sound of shape (samples, {CHANNELS}), got {x.shape}")
        if self._end is not None:
            raise ValueError("the stream was flushed: reset it before more sound")
        self._received += len(x)
        self._take(x.astype(np.float32, copy=False))

    def flush(self) -> None:
        """Ends the stream: the windows of the tail become pending."""
        if self._end is None:
            self._end = self._received
            covered = -(-self._end // STFT.hop) * STFT.hop + STFT.frame - STFT.hop
            self._take(np.zeros((covered - self._end, CHANNELS), np.float32))

    def pending(self, ahead: int = 0) -> Window | None:
        """The oldest window that waits for an answer, or the one `ahead` places behind it; None if there is none.

        It is the same one until it was answered. Windows are answered in their order.
        """
        ended = self._end is not None
        while len(self._waiting) <= ahead and not self._exhausted:
            if not self._grid.ready(self._magnitudes.count, ended=ended):
                break
            cut = self._grid.advance(self._magnitudes.count, ended=ended)
            if cut.stop > cut.start:  # nothing becomes final before the first frames are complete
                self._waiting.append(self._window(cut))
        return self._waiting[ahead] if ahead < len(self._waiting) else None

    def accept(self, window: Window, masks: Array) -> dict[str, Array]:
        """Samples [start, stop) of each output, from the model's masks (stems, wanted, bins, channels)."""
        mean = self._mean.add(window.first_frame + window.wanted.start, masks)
        return self._answer(window, mean, np.zeros(len(self.model.stems), np.float32))

    def skip(self, window: Window) -> dict[str, Array]:
        """The same samples without the model: the last stem is the mixture and all others are silent."""
        masks = np.zeros((len(self.model.stems), len(window.wanted), self.model.bins, CHANNELS), np.float32)
        masks[-1] = 1.0
        self._mean.forget()
        return self._answer(window, masks, np.eye(len(self.model.stems), dtype=np.float32)[-1])

    def _answer(self, window: Window, masks: Array, above: Array) -> dict[str, Array]:
        if not self._waiting or window is not self._waiting[0]:
            raise ValueError(f"window {window.index} is not the pending one")
        first = window.first_frame + window.wanted.start
        sound = self._renderer.render(masks[:, : window.final - first], first, above=above, refined=self._sliding)
        self._waiting.popleft()
        self._magnitudes.forget(self._grid.oldest(window.first_frame + len(window.magnitudes) - 1))
        return {name: samples[: window.stop - window.start] for name, samples in sound.items()}

    def _take(self, x: Array) -> None:
        blocks = np.concatenate([self._blocks, x])
        whole = len(blocks) // STFT.hop
        self._blocks = blocks[whole * STFT.hop :]
        spectra = self._analyser.process(x)
        self._renderer.add(spectra, blocks[: whole * STFT.hop].reshape(whole, STFT.hop, CHANNELS))
        magnitudes = np.abs(spectra[:, :, : self.model.bins]).transpose(0, 2, 1)
        if self._level:
            gains = self._level.process(x)
            magnitudes[len(magnitudes) - len(gains) :] *= gains[:, None, None]
        self._magnitudes.append(magnitudes)

    def _window(self, cut: Cut) -> Window:
        frames = cut.wanted.stop
        magnitudes = np.zeros((frames, self.model.bins, CHANNELS), np.float32)
        start, stop = max(cut.first, 0), min(cut.last + 1, self._magnitudes.count)
        magnitudes[start - cut.first : stop - cut.first] = self._magnitudes.view(start, stop)
        _mirror(magnitudes, start - cut.first)
        magnitudes.flags.writeable = False
        end = cut.stop if self._end is None else min(cut.stop, self._end)
        complete = min(cut.last * STFT.hop, self._received)
        return Window(cut.index, magnitudes, cut.first, cut.wanted, cut.start, end, complete, cut.final)


def _mirror(magnitudes: Array, start: int) -> None:
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
    """One-shot separation of sound (samples, 2): the streaming wrapper, with analysis, inference and rendering
    of successive windows side by side; on another rung of the settings' ladder if one is given."""
    stream = SeparatorStream(model, settings)
    stream.take_rung(rung or stream.rung)
    done: dict[str, list[Array]] = {name: [np.zeros((0, CHANNELS), np.float32)] for name in stream.outputs}
    with threads.pool("inference") as pool:
        for sound in _answers(stream, x, pool):
            for name, samples in sound.items():
                done[name].append(samples)
    return {name: np.concatenate(parts) for name, parts in done.items()}


def _answers(stream: SeparatorStream, x: Array, pool: Executor) -> Iterator[dict[str, Array]]:
    state = stream.model.initial_state()
    jobs: deque[tuple[Window, Future[Array]]] = deque()

    def infer(window: Window) -> Array:
        nonlocal state  # one thread, and windows in their order
        masks, (state,) = stream.model.step([window], [state])
        answer: Array = masks[0]
        return answer

    def advance(keep: int) -> Iterator[dict[str, Array]]:
        while True:
            while len(jobs) <= AHEAD and (window := stream.pending(len(jobs))) is not None:
                jobs.append((window, pool.submit(infer, window)))
            if len(jobs) <= keep:
                return
            window, job = jobs.popleft()
            yield stream.accept(window, job.result())

    for at in range(0, len(x), FEED):
        stream.push(x[at : at + FEED])
        yield from advance(AHEAD)
    stream.flush()
    yield from advance(0)
