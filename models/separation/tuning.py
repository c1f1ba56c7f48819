"""Finds out how often this machine can run a separator, and what an inference takes.

At warm-up the process has the machine to itself. What is chosen then has to hold while the rest of the graph plays,
a spare process starts and a viewer looks on; whether a smaller hop would hold as well, only the running graph shows
(`remembered`).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from audio_pipeline.cpu import cores
from audio_pipeline.models.separation.grid import Rung, ladder_rungs, top_rung
from audio_pipeline.models.separation.spec import ModelSpec
from audio_pipeline.models.separation.stream import SeparatorStream
from audio_pipeline.models.separation.types import (
    Model,
    SeparatorSettings,
    State,
    Window,
    choose_hop,
    frames_between,
)

WARM_UP_STEPS = 9
USUAL, SLOW = 0.25, 0.8  # quantiles: start-up is busy, so the quicker steps show what the machine can do
SAFETY = 1.5  # on a slow one, for the term that is stated
PROBE_FRAMES = 32
REST_CORES = 0.5  # what the other nodes of a karaoke graph, its supervisor and its view take, measured on two cores
SHARE = 0.65  # of the time between two inferences, that one may take while those run as well


Settle = Callable[[int], int]


class Tuning(NamedTuple):
    """What this machine needs: frames between inferences, and seconds for one of them."""

    hop: int
    compute_s: float  # to be stated
    fastest_s: float
    slow_s: float = 0.0  # a slow inference and what is around it


class Timing(NamedTuple):
    """Seconds that this machine takes: for an inference, and for what is around it, a frame."""

    usual_s: float
    slow_s: float
    fastest_s: float
    frame_s: float


def measure(model: Model, settings: SeparatorSettings, streams: int = 1) -> Timing:
    """About ten inferences of a batch of `streams`."""
    inference = _inference_times(model, settings, streams)
    usual, slow = (float(np.quantile(inference, q)) for q in (USUAL, SLOW))
    return Timing(usual, slow, min(inference), _frame_time(model, settings))


def needed_s(timing: Timing, hop: int, streams: int = 1) -> float:
    """Seconds that an inference for each of `streams` and what is around it take, beside the rest of a graph."""
    return (1 + REST_CORES / cores()) * timing.usual_s + hop * timing.frame_s * streams


def stated(timing: Timing, spec: ModelSpec, settings: SeparatorSettings) -> Tuning:
    """What can be promised at the hop of the settings, on every rung below, too, on a machine not yet seen at work."""
    around_s = max(rung.hop for rung in ladder_rungs(spec, settings)) * timing.frame_s
    careful_s = SAFETY * timing.slow_s + around_s + spec.stall_s
    return Tuning(settings.hop, careful_s, timing.fastest_s, timing.slow_s + around_s)


def tune(model: Model, settings: SeparatorSettings, hop: int = 0, streams: int = 1, *, settle: Settle = int) -> Tuning:
    """Measures the model and all around it; chooses the smallest hop that this machine can keep up with for sure.

    A `hop` above 0 is kept; one that is chosen here, `settle` may replace. `streams` share the model. Takes about ten
    inferences. What is stated holds on every rung below, too. The work of a stateful model goes by the frame, so that
    a longer hop saves nothing: it gets a hop of 1.
    """
    timing = measure(model, settings, streams)
    if model.spec.stateful:
        hop = hop or 1
    elif not hop:
        hop = settle(choose_hop(lambda n: needed_s(timing, n, streams), model.spec.frame_s, share=SHARE))
    return stated(timing, model.spec, replace(settings, hop=hop))


def warm_up(model: Model, settings: SeparatorSettings, streams: int = 1) -> None:
    """One inference of each shape that a stream can ask for on its way down the ladder."""
    shapes = {rung.window: rung for rung in ladder_rungs(model.spec, settings)}
    for rung in shapes.values():
        _step(model, next(_windows(model, settings, rung)), _states(model, streams))
    _trim()


def _trim() -> None:
    """Gives what was freed back to the system, where glibc has it: making networks takes 200 MB for a moment."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _windows(model: Model, settings: SeparatorSettings, rung: Rung) -> Iterator[Window]:
    """The windows of a stream of noise."""
    stream = SeparatorStream(model, settings)
    stream.take_rung(rung)
    shape = (model.spec.stft.hop * rung.hop, model.spec.channels)
    noise = (np.random.default_rng(0).standard_normal(shape) * 0.1).astype(np.float32)
    while True:
        while (window := stream.pending()) is None:
            stream.push(noise)
        yield window
        stream.skip(window)


def _states(model: Model, streams: int) -> list[State]:
    return [model.initial_state() for _ in range(streams)]


def _step(model: Model, window: Window, states: list[State]) -> float:
    """Seconds of one inference of a batch; `states` become those after it."""
    began = time.perf_counter()
    _, states[:] = model.step([window] * len(states), states)
    return time.perf_counter() - began


def _inference_times(model: Model, settings: SeparatorSettings, streams: int) -> list[float]:
    """Seconds of each of a few inferences, the first of which is left out."""
    states, windows = _states(model, streams), _windows(model, settings, top_rung(model.spec, settings))
    return [_step(model, window, states) for window in islice(windows, WARM_UP_STEPS + 1)][1:]


def _frame_time(model: Model, settings: SeparatorSettings) -> float:
    """Seconds a frame that analysis and rendering take."""
    stream, spec = SeparatorStream(model, settings), model.spec
    frames = max(PROBE_FRAMES, 2 * frames_between(spec, settings))
    silence = np.zeros((frames * spec.stft.hop, spec.channels), np.float32)
    began = time.perf_counter()
    stream.push(silence)
    while (window := stream.pending()) is not None:
        stream.skip(window)
    return (time.perf_counter() - began) / frames
