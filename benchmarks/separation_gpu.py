"""How many live streams one model serves without a missed deadline: CPU and GPU, fp32 and fp16, CUDA graphs on and off.

python benchmarks/separation_gpu.py
python benchmarks/separation_gpu.py --hops 1 2 --most 64 --seconds 20     (where there is a GPU)

What cannot be measured on this machine has a row that says why.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime
from safetensors.numpy import load_file
from separation_common import Array, machine, table

from audio_pipeline.errors import PipelineError
from audio_pipeline.models.separation.batching import Batcher
from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS as SPEC
from audio_pipeline.models.separation.engines import Way, ways_here
from audio_pipeline.models.separation.spleeter import Spleeter
from audio_pipeline.models.separation.spleeter_layout import VARIANTS, Weights
from audio_pipeline.models.separation.spleeter_onnx import CUDA, OnnxUnets
from audio_pipeline.models.separation.spleeter_precision import Engine, agreement_db
from audio_pipeline.models.separation.spleeter_probe import WANTED, probe
from audio_pipeline.models.separation.spleeter_torch import SIZES, TorchUnets, cuda_is_here, device_name
from audio_pipeline.models.separation.stream import SeparatorStream
from audio_pipeline.models.separation.types import HOPS, SeparatorSettings, Window
from audio_pipeline.models.separation.workers import Seated
from audio_pipeline.models.weights import store

NAME = "spleeter-2stems"
STREAMS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
WARM_UP_S = 1.0
Times = list[float]


@dataclass(frozen=True)
class Kind:
    """One way to compute, or why it cannot be measured here."""

    name: str
    make: Callable[[Weights], Engine]
    lacks: str = ""


def kinds() -> list[Kind]:
    """All that are compared."""
    variant = VARIANTS[NAME]
    gpu = "" if cuda_is_here() else "not measured: torch finds no CUDA device here"
    provider = "" if CUDA in onnxruntime.get_available_providers() else f"not measured: ONNX Runtime has no {CUDA}"
    found = [Kind("CPU, ONNX Runtime, fp32", lambda table: OnnxUnets(variant, table))]
    found += [Kind(f"CPU, {way}", partial(_openvino, way=way)) for way in ways_here() if way.engine == "openvino"]
    for precision in ("fp32", "fp16", "bf16"):
        for graphs in (True, False):
            name = f"GPU, torch, {precision}, CUDA graphs {'on' if graphs else 'off'}"
            make = partial(_torch, precision=precision, graphs=graphs)
            found.append(Kind(name, make, gpu))
    found.append(Kind("GPU, ONNX Runtime, fp32", lambda table: OnnxUnets(variant, table, 0, CUDA), provider or gpu))
    return found


def _torch(table: Weights, precision: str, graphs: bool) -> Engine:
    return TorchUnets(VARIANTS[NAME], table, "cuda", precision, graphs=graphs)


def _openvino(table: Weights, way: Way) -> Engine:
    from audio_pipeline.models.separation.spleeter_openvino import OpenVinoUnets

    return OpenVinoUnets(VARIANTS[NAME], table, precision=way.precision)


def noise(samples: int, seed: int) -> Array:
    """Something to separate."""
    return (np.random.default_rng(seed).standard_normal((samples, 2)) * 0.1).astype(np.float32)


def window_of(model: Spleeter, settings: SeparatorSettings) -> Window:
    """A full window of a stream."""
    stream, found = SeparatorStream(model, settings), None
    stream.push(noise(SPEC.stft.hop * (SPEC.modes[settings.mode].window + 8), 0))
    while (window := stream.pending()) is not None:
        found = window
        stream.skip(window)
    assert found is not None
    return found


def shown(times: Sequence[float]) -> list[str]:
    """p50, p99 and max in ms."""
    return [f"{1000 * float(np.quantile(times, q)):.1f}" for q in (0.5, 0.99, 1.0)]


def batches(model: Spleeter, most: int, steps: int) -> Iterator[tuple[int, list[str], str]]:
    """One batch after another, as fast as it goes: times, and windows a second."""
    window = window_of(model, SeparatorSettings())
    for size in [size for size in SIZES if size <= most]:
        windows, states = [window] * size, [None] * size
        model.step(windows, states)
        times: Times = []
        for _ in range(steps):
            began = time.perf_counter()
            model.step(windows, states)
            times.append(time.perf_counter() - began)
        yield size, shown(times), f"{size / float(np.median(times)):.0f}"


def together(model: Spleeter, settings: SeparatorSettings, streams: int, seconds: float) -> Times:
    """The model alone, paced: each period one batch with a window of every stream. Seconds from period to answer."""
    window, period = window_of(model, settings), settings.hop * SPEC.frame_s
    windows, states, times = [window] * streams, [None] * streams, list[float]()
    model.step(windows, states)
    due = time.perf_counter()
    for _ in range(max(8, round(seconds / period))):
        time.sleep(max(0.0, due - time.perf_counter()))
        model.step(windows, states)
        times.append(time.perf_counter() - due)
        due = max(due + period, time.perf_counter() - period)
    return times


class Listener(threading.Thread):
    """A whole stream with analysis and rendering, at its own phase, in a thread of its own."""

    def __init__(self, batcher: Batcher, settings: SeparatorSettings, number: int, begin: float, end: float) -> None:
        super().__init__(daemon=True)
        self._stream = SeparatorStream(batcher.model, settings)
        self._seat = Seated(batcher, str(number), lambda: None)
        self._period = settings.hop * SPEC.frame_s
        self._begin, self._end = begin, end
        self._sound = noise(SPEC.stft.hop * settings.hop, number)
        self.times: Times = []

    def run(self) -> None:
        due = self._begin
        while due < self._end:
            time.sleep(max(0.0, due - time.perf_counter()))
            self._hop(due)
            late = time.perf_counter() - due
            if due > self._begin + WARM_UP_S:
                self.times.append(late)
            due += self._period * max(1, int(late / self._period))  # what was missed is not caught up
        self._seat.close()

    def _hop(self, due: float) -> None:
        self._stream.push(self._sound)
        while (window := self._stream.pending()) is not None:
            self._seat.submit(window)
            self._seat.wait(60)
            masks = self._seat.take(window)
            assert masks is not None
            self._stream.accept(window, masks)


def whole(model: Spleeter, settings: SeparatorSettings, streams: int, seconds: float) -> Times:
    """Whole streams, each at its own phase, batched as they come. Seconds from a hop's last sample to its sound."""
    period, begin = settings.hop * SPEC.frame_s, time.perf_counter() + 0.2
    batcher = Batcher(model, streams, fixed=False)
    for size in range(1, streams + 1):
        if size in SIZES or size == streams:
            model.step([window_of(model, settings)] * size, [None] * size)
    begin = time.perf_counter() + 0.2
    end = begin + WARM_UP_S + max(seconds, 8 * period)
    listeners = [Listener(batcher, settings, k, begin + period * k / streams, end) for k in range(streams)]
    for listener in listeners:
        listener.start()
    for listener in listeners:
        listener.join()
    batcher.close()
    return [late for listener in listeners for late in listener.times]


def curve(
    measure: Callable[[int], Times], period: float, least: int, most: int
) -> Iterator[tuple[int, list[str], int, int]]:
    """Ever more streams until deadlines are missed: streams, times, misses, windows."""
    for streams in [count for count in STREAMS if least <= count <= most]:
        times = measure(streams)
        missed = sum(late > period for late in times)
        yield streams, shown(times), missed, len(times)
        if missed:
            return


def curves(found: Sequence[tuple[Kind, Spleeter | None]], args: argparse.Namespace) -> Iterator[tuple[object, ...]]:
    """The rows of the paced table."""
    for kind, model in found:
        if model is None:
            yield kind.name, kind.lacks, *[""] * 7
            continue
        ways = (("model alone", together), ("whole streams", whole))[1 if args.whole else 0 :]
        for hop in args.hops:
            settings = SeparatorSettings(args.mode, hop)
            period = hop * SPEC.frame_s
            for what, measure in ways:
                best = 0
                run = partial(measure, model, settings, seconds=args.seconds)
                for streams, times, missed, windows in curve(
                    lambda n, run=run: run(streams=n), period, args.least, args.most
                ):
                    best = best if missed else streams
                    yield kind.name, what, hop, f"{1000 * period:.0f}", streams, *times, f"{missed} of {windows}"
                yield f"**{kind.name}**", what, hop, "", f"**{best} without a miss**", "", "", "", ""


def opened(kind: Kind, table: Weights) -> tuple[Kind, Spleeter | None, str]:
    """The model, or a kind that says why not; and how well it agrees with fp32 on the CPU."""
    if kind.lacks:
        return kind, None, ""
    try:
        engine = kind.make(table)
        found = engine.masks(probe(), WANTED)
    except (PipelineError, RuntimeError) as error:
        return Kind(kind.name, kind.make, f"failed: {str(error).splitlines()[0]}"), None, ""
    reference = OnnxUnets(VARIANTS[NAME], table).masks(probe(), WANTED)
    agrees = agreement_db(reference, found, probe(), WANTED)
    return (
        kind,
        Spleeter(VARIANTS[NAME], engine),
        "the reference" if np.array_equal(found, reference) else f"{agrees:.0f}",
    )


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", default="balanced", choices=[mode for mode in SPEC.modes if mode != "offline"])
    parser.add_argument("--hops", type=int, nargs="+", default=[4, 8], choices=HOPS)
    parser.add_argument("--most", type=int, default=STREAMS[-1], help="streams at most")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each number of streams")
    parser.add_argument("--only", default="", help="engines whose name begins so, such as CPU")
    parser.add_argument("--whole", action="store_true", help="whole streams alone")
    parser.add_argument("--from", type=int, default=1, dest="least", help="streams at least")
    parser.add_argument("--steps", type=int, default=20, help="for each size of batch")
    args = parser.parse_args()
    table_of_weights = load_file(store.path(NAME, "model.safetensors"))
    print(machine())
    print(f"GPU: {device_name()}" if cuda_is_here() else "GPU: none that torch can use, so no GPU row was measured")
    found = [opened(kind, table_of_weights) for kind in kinds() if kind.name.startswith(args.only)]
    if not args.whole:
        print(f"\nBatches one after another, mode {args.mode}, milliseconds.\n")
        table(
            ["engine", "agrees with fp32, dB", "batch", "p50", "p99", "max", "windows a second"], unpaced(found, args)
        )
    print("\nPaced: milliseconds from the moment a hop is complete; later than the next hop is a miss.\n")
    head = ["engine", "what", "hop", "time there is", "streams", "p50", "p99", "max", "missed"]
    table(head, curves([(kind, model) for kind, model, _ in found], args))


def unpaced(
    found: Sequence[tuple[Kind, Spleeter | None, str]], args: argparse.Namespace
) -> Iterator[tuple[object, ...]]:
    """The rows of the first table."""
    for kind, model, agrees in found:
        if model is None:
            yield kind.name, kind.lacks, "", "", "", "", ""
            continue
        for size, times, rate in batches(model, args.most, args.steps):
            yield kind.name, agrees, size, *times, rate


if __name__ == "__main__":
    main()
