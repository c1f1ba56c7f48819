"""Streaming source separation with a mask model: which frames the model sees when, and what comes out when.

A model sees windows of magnitudes and answers with masks; everything in time (framing, lookahead, the hop
between inferences, overlap-add, latency) is here and the same for every model. Frame k covers the samples
[k*1024 - 4096, k*1024). Inference i runs when frame e = hop*(i+1) - 1 is complete, on a grid anchored at
sample 0, so any chunking of the input gives the same output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from audio_pipeline.dsp.normalise import NormaliserSettings, SlowNormaliser
from audio_pipeline.dsp.stft import Analyser, Stft
from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.models.separation_render import Renderer, Rows

Array = np.ndarray[Any, np.dtype[Any]]
State = Any  # a model's memory of one stream; None for a stateless model

STFT = Stft(4096, 1024)
HOPS = (1, 2, 4, 8, 16, 32)
CHANNELS = 2


@dataclass(frozen=True)
class Mode:
    """Frames in a window, frames of future a mask must have seen, frames revised by each inference."""

    window: int
    lookahead: int
    revised: int


MODES: dict[str, Mode] = {
    "offline": Mode(window=512, lookahead=0, revised=0),  # Spleeter's own segments: the hop is the window
    "low": Mode(window=128, lookahead=0, revised=3),
    "balanced": Mode(window=128, lookahead=4, revised=3),
    "quality": Mode(window=128, lookahead=16, revised=3),
}


@dataclass(frozen=True, eq=False)
class Window:
    """The input of one inference, and what becomes final with its answer."""

    index: int
    magnitudes: Array  # (frames, bins, channels), read-only
    first_frame: int  # of magnitudes, on the stream's grid; negative before the sound
    wanted: range  # frames of the window whose masks are asked for
    start: int  # samples [start, stop) become final
    stop: int
    complete: int  # samples of input after which this window was complete


class Model(Protocol):
    """A batch of windows in, a batch of masks out; a single stream is a batch of one."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names, the voice first and what is left over last."""

    @property
    def rate(self) -> int:
        """The only rate the model accepts, in Hz."""

    @property
    def bins(self) -> int:
        """Frequency bins in a window, from 0 Hz."""

    def initial_state(self) -> State:
        """The state of a stream that begins."""

    def step(self, windows: Sequence[Window], states: Sequence[State]) -> tuple[Array, list[State]]:
        """Masks (windows, stems, wanted frames, bins, channels) and the states after."""


class Latency(NamedTuple):
    """Samples by which output p comes later than input p, by cause; the time to compute comes on top."""

    window: int
    lookahead: int
    hop: int

    @property
    def total(self) -> int:
        """All terms together."""
        return sum(self)


@dataclass(frozen=True)
class SeparatorSettings:
    """How a stream is cut, which outputs it has and what is done around the model.

    `hop` is the number of frames between inferences (always a whole window in `offline`). `outputs` maps a
    name to the gain of each stem in it; without it every stem is an output.
    """

    mode: str = "balanced"
    hop: int = 1
    outputs: Mapping[str, Mapping[str, float]] | None = None
    residual: bool = False
    normalise: NormaliserSettings | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode: expected one of {', '.join(MODES)}, got {self.mode!r}{nearest(self.mode, MODES)}")
        if self.hop not in HOPS:
            raise ConfigError(f"hop: expected one of {', '.join(map(str, HOPS))} frames, got {self.hop!r}")

    @property
    def frames_between(self) -> int:
        """Frames from one inference to the next."""
        return MODES[self.mode].window if self.mode == "offline" else self.hop

    @property
    def latency(self) -> Latency:
        """What the settings cost in samples at the model's rate."""
        step = STFT.hop
        return Latency(STFT.frame, MODES[self.mode].lookahead * step, (self.frames_between - 1) * step)


class SeparatorStream:
    """One stream: `push` sound, answer each `pending` window by `accept` or `skip`, and at the end `flush`.

    N samples in give N samples out at the same positions. All methods belong to one thread; only the model
    may run in another.
    """

    def __init__(self, model: Model, settings: SeparatorSettings = SeparatorSettings()) -> None:
        self.model, self.settings = model, settings
        self._mode = MODES[settings.mode]
        outputs = settings.outputs or {stem: {stem: 1.0} for stem in model.stems}
        self._renderer = Renderer(STFT, model.stems, outputs, bins=model.bins, channels=CHANNELS,
                                  residual=settings.residual)
        self._analyser = Analyser(STFT, CHANNELS)
        self._level = SlowNormaliser(model.rate, settings.normalise) if settings.normalise else None
        self.reset()

    def reset(self) -> None:
        """Forgets the sound and starts again at sample 0; gains stay."""
        self._analyser.reset()
        self._renderer.reset()
        if self._level:
            self._level.reset()
        self._magnitudes = Rows((self.model.bins, CHANNELS), np.float32)
        self._blocks: Array = np.zeros((0, CHANNELS), np.float32)
        self._received = 0
        self._index = 0
        self._end: int | None = None
        self._next: Window | None = None

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
        return self._end is not None and self._span(self._index).start >= self._end

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

    def pending(self) -> Window | None:
        """The oldest window that waits for an answer; the same one until it has been given."""
        if self._next is None and not self.finished:
            while self._ready(self._index) and not self._span(self._index):
                self._index += 1  # nothing becomes final before the first frames are complete
            if self._ready(self._index):
                self._next = self._cut(self._index)
        return self._next

    def accept(self, window: Window, masks: Array) -> dict[str, Array]:
        """Samples [start, stop) of each output, from the model's masks (stems, wanted, bins, channels)."""
        return self._answer(window, masks, np.zeros(len(self.model.stems), np.float32))

    def skip(self, window: Window) -> dict[str, Array]:
        """The same samples without the model: the last stem is the mixture and all others are silent."""
        masks = np.zeros((len(self.model.stems), len(window.wanted), self.model.bins, CHANNELS), np.float32)
        masks[-1] = 1.0
        return self._answer(window, masks, np.eye(len(self.model.stems), dtype=np.float32)[-1])

    def _answer(self, window: Window, masks: Array, above: Array) -> dict[str, Array]:
        if window is not self._next:
            raise ValueError(f"window {window.index} is not the pending one")
        first = window.first_frame + window.wanted.start
        masks = masks[:, :self._magnitudes.count - first]  # past the end of the sound there is nothing to mask
        sound = self._renderer.render(masks, first, above=above, refined=self._mode.revised > 0)
        self._next, self._index = None, self._index + 1
        self._magnitudes.forget(self._first_frame(self._index))
        return {name: samples[:window.stop - window.start] for name, samples in sound.items()}

    def _take(self, x: Array) -> None:
        blocks = np.concatenate([self._blocks, x])
        whole = len(blocks) // STFT.hop
        self._blocks = blocks[whole * STFT.hop:]
        spectra = self._analyser.process(x)
        self._renderer.add(spectra, blocks[:whole * STFT.hop].reshape(whole, STFT.hop, CHANNELS))
        magnitudes = np.abs(spectra[:, :, :self.model.bins]).transpose(0, 2, 1)
        if self._level:
            gains = self._level.process(x)
            magnitudes[len(magnitudes) - len(gains):] *= gains[:, None, None]
        self._magnitudes.append(magnitudes)

    def _last_frame(self, index: int) -> int:
        return self.settings.frames_between * (index + 1) - 1

    def _first_frame(self, index: int) -> int:
        return self._last_frame(index) + 1 - self._mode.window

    def _wanted_end(self, index: int) -> int:
        return self._last_frame(index) + 1 - self._mode.lookahead

    def _span(self, index: int) -> range:
        """Samples that become final with an inference."""
        start, stop = (max(0, self._wanted_end(i) - STFT.overlap) for i in (index - 1, index))
        return range(start * STFT.hop, stop * STFT.hop)

    def _ready(self, index: int) -> bool:
        return self._end is not None or self._magnitudes.count > self._last_frame(index)

    def _cut(self, index: int) -> Window:
        first, last = self._first_frame(index), self._last_frame(index)
        magnitudes = np.zeros((self._mode.window, self.model.bins, CHANNELS), np.float32)
        start, stop = (min(max(frame, 0), self._magnitudes.count) for frame in (first, last + 1))
        magnitudes[start - first:stop - first] = self._magnitudes.view(start, stop)
        magnitudes.flags.writeable = False
        end = self._wanted_end(index) - first
        wanted = range(end - self.settings.frames_between - self._mode.revised, end)
        span = self._span(index)
        stop = span.stop if self._end is None else min(span.stop, self._end)
        return Window(index, magnitudes, first, wanted, span.start, stop, last * STFT.hop)


def separate(model: Model, x: Array, settings: SeparatorSettings = SeparatorSettings("offline")) -> dict[str, Array]:
    """One-shot separation of sound (samples, 2): the streaming wrapper, fed at once and answered in order."""
    stream = SeparatorStream(model, settings)
    state = model.initial_state()
    done: dict[str, list[Array]] = {name: [np.zeros((0, CHANNELS), np.float32)] for name in stream.outputs}
    stream.push(x)
    stream.flush()
    while (window := stream.pending()) is not None:
        masks, (state,) = model.step([window], [state])
        for name, samples in stream.accept(window, masks[0]).items():
            done[name].append(samples)
    return {name: np.concatenate(parts) for name, parts in done.items()}


def choose_hop(step_s: Callable[[int], float], *, rate: int = 44100, share: float = 0.6) -> int:
    """The smallest hop of the closed list whose inferences, `step_s(hop)` seconds each, take at most `share`
    of the time between them; the largest where none does."""
    for hop in HOPS:
        if step_s(hop) <= share * hop * STFT.hop / rate:
            return hop
    return HOPS[-1]
