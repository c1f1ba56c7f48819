"""How often `detect` takes sound without a mark for marked, and the filter it looks through.

Run: python benchmarks/watermark_alarms.py rows CACHE.npz FOLDER...   what the detector sees of all sound in folders;
                                                    `synthetic`: chords, chirps, noises and hums
     python benchmarks/watermark_alarms.py fit CACHE.npz...           models/hearing/mark_filter.py anew, from that;
                                                    the thresholds of mark.py have to be measured anew then
     python benchmarks/watermark_alarms.py check CACHE.npz...         alarms by file, over joined files, and the tail
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist

import av
import numpy as np
import soundfile
from separation_common import ROOT, SHARED, Array, machine, table

from audio_pipeline.models.hearing import mark, perth
from audio_pipeline.models.hearing.mark_filter import FIRST, MEAN, WEIGHTS

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".g722"}
MOST_S, LEAST_S = 45, 1.0  # of a file, from a random place on
JOINED_S, JOINED = 600, 400
SHAMS = 200
SYNTHETIC = 300
FILE = ROOT / "models" / "hearing" / "mark_filter.py"
ABOUT = '''"""How the pattern of the Perth mark is told from sound: a filter over the fine structure of a spectrum.

Written by `python benchmarks/watermark_alarms.py fit CACHE.npz...`: the covariance of windows of one second of unmarked
sound, inverted, times what the mark adds. Scaled so that its output has mean 0 and deviation 1 there.
"""

'''


def read(path: Path) -> tuple[Array, int]:
    """Up to a minute of a file, from a random place on, in at most two channels."""
    if path.suffix == ".g722":
        with av.open(str(path), format="g722") as file:
            parts = [frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]
        return (np.concatenate(parts).astype(np.float32) / 32_768)[:, None], 16_000
    with soundfile.SoundFile(path) as file:
        wanted = MOST_S * file.samplerate
        if file.frames > wanted:
            file.seek(random.Random(path.name).randrange(file.frames - wanted))
        return file.read(wanted, dtype="float32", always_2d=True)[:, :2], file.samplerate


def synthetic(seed: int) -> Array:
    """Four seconds of a chord, a chirp, noise or a hum (samples, 1) at 16 kHz."""
    rng = np.random.default_rng(seed)
    t = np.arange(4 * 16_000) / 16_000
    kind = seed % 4
    if kind == 0:
        notes = 55 * 2 ** (rng.integers(0, 48, 4) / 12)
        tones = [(f * k, k) for f in notes for k in range(1, 20) if f * k < 8_000]
        x = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) / k for f, k in tones)
    elif kind == 1:
        low, high = rng.uniform(50, 2_000, 2)
        x = np.sin(2 * np.pi * (low * t + (high - low) / 8 * t**2))
    elif kind == 2:
        spectrum = np.fft.rfft(rng.standard_normal(len(t)))
        x = np.fft.irfft(spectrum * np.arange(1, len(spectrum) + 1) ** -rng.uniform(0, 1.2), len(t))
    else:
        f = rng.uniform(45, 120)
        x = 1e-3 * rng.standard_normal(len(t))
        x += sum(rng.uniform(0, 1) * np.sin(2 * np.pi * f * k * t) for k in range(1, 30))
    return (0.1 * x / np.std(x)).astype(np.float32)[:, None]


def sounds(folders: list[str]) -> Iterator[tuple[str, Array, int]]:
    """Everything there is, by group and name."""
    for folder in map(Path, folders):
        if str(folder) == "synthetic":
            yield from ((f"synthetic|{seed}", synthetic(seed), 16_000) for seed in range(SYNTHETIC))
        for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES):
            try:
                x, rate = read(path)
            except (soundfile.SoundFileError, av.FFmpegError, ValueError):
                continue
            if len(x) >= LEAST_S * rate and np.all(np.isfinite(x)):
                yield f"{folder.name}|{path.name}", x, rate


def write_rows(cache: str, folders: list[str]) -> None:
    """Keeps what the detector sees of each sound."""
    networks, kept = perth.load(), {}
    for name, x, rate in sounds(folders):
        seeker = mark.MarkSeeker(networks, rate, x.shape[1])
        seeker.push(x)
        for i, rows in enumerate(seeker.tracks()):
            kept[f"{name}|{len(kept)}|{i}"] = rows.astype(np.float32)
    np.savez(cache, **kept)
    print(f"{len(kept)} tracks in {cache}")


def files(caches: list[str]) -> dict[str, list[Array]]:
    """The tracks of each file, by `group|name|number`."""
    found: dict[str, list[Array]] = defaultdict(list)
    for cache in caches:
        with np.load(cache) as data:
            for key in data.files:
                name, _, track = key.rpartition("|")
                group, file, number = name.split("|")[0], name.split("|")[1], int(name.rpartition("|")[2]) - int(track)
                found[f"{group}|{file}|{number}"].append(data[key].astype(np.float64))
    return found


def standing_out(rows: Array, window: int, *, suspected: bool = False) -> Array:
    """The fine structure of windows of so many rows that do not overlap: of all frames, or of those that the decoder
    takes for marked."""
    count = len(rows) // window
    sums = rows[: count * window].reshape(count, window, rows.shape[1]).sum(axis=1)
    sums = sums[sums[:, 0] >= mark.LEAST_HEARD * window * mark.ROW]
    if suspected:
        sums = sums[sums[:, 1] >= mark.LEAST_FRAMES]
        return mark.standing_out(sums[:, 2 : 2 + mark.COUNT], sums[:, 1])
    return mark.standing_out(sums[:, 2 + mark.COUNT :], sums[:, 0])


def covariance(found: dict[str, list[Array]]) -> tuple[Array, Array]:
    """Mean and covariance of windows of one second, each group of files with the same weight."""
    groups: dict[str, list[Array]] = defaultdict(list)
    for name, tracks in found.items():
        groups[name.partition("|")[0]] += [standing_out(rows, 2) for rows in tracks]
    each = [np.concatenate(parts) for parts in groups.values()]
    spread = sum(np.cov(part.T) for part in each) / len(each)
    little = 0.01 * np.trace(spread) / len(spread) * np.eye(len(spread))
    return np.mean([part.mean(axis=0) for part in each], axis=0), spread + little


def pattern() -> Array:
    """What the mark adds to windows of one second of reference speech."""
    networks, change = perth.load(), []
    for path in sorted(SHARED.glob("speech/*/*.flac"))[::3]:
        x, rate = soundfile.read(path, dtype="float32", always_2d=True)
        pair = []
        for y in (x, perth.marked(networks, x, rate)):
            seeker = mark.MarkSeeker(networks, rate, 1)
            seeker.push(y)
            pair.append(standing_out(seeker.tracks()[0], 2).mean(axis=0))
        change.append(pair[1] - pair[0])
    return np.mean(change, axis=0)


def fit(caches: list[str]) -> None:
    """Writes the filter."""
    mean, spread = covariance(files(caches))
    weights = np.linalg.solve(spread, pattern())
    weights /= np.sqrt(weights @ spread @ weights)
    lines = [", ".join(f"{value:.4f}" for value in weights[i : i + 10]) for i in range(0, len(weights), 10)]
    rows = "\n".join(f"    {line}," for line in lines)
    FILE.write_text(
        f"{ABOUT}FIRST = {FIRST}  # bin\nMEAN = {mean @ weights:.4f}\nWEIGHTS = (\n{rows}\n)\n", encoding="utf-8"
    )


def check(caches: list[str]) -> None:
    """Prints the tables."""
    print(machine())
    found = files(caches)
    by_file(found)
    joined(found)
    tail(found)


def by_file(found: dict[str, list[Array]]) -> None:
    """Alarms on every file as it is."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in found:
        groups[name.partition("|")[0]].append(name)
    rows = []
    for group, names in sorted(groups.items()):
        seconds = [len(found[name][0]) * mark.ROW_S for name in names]
        alarms = [name for name, s in zip(names, seconds, strict=True) if mark.judged(found[name], s).marked]
        share = np.concatenate([shares(tracks[0], 2) for tracks in (found[name] for name in names)])
        sure = f"{np.mean(share >= mark.TIERS[0][0]):.4f}"
        rows.append((group, len(names), f"{sum(seconds) / 3_600:.2f}", len(alarms), sure, *alarms[:2]))
    table(("group", "files", "hours", "alarms", "decoder is sure"), [row[:5] for row in rows])
    print("alarms:", [row[5:] for row in rows if row[5:]])
    total = sum(len(names) for names in groups.values())
    alarms = sum(row[3] for row in rows)
    bound = (3.0 if not alarms else float("nan")) / total
    print(f"{alarms} alarms in {total} files; with none, the rate is below {bound:.1e} at 95 %")


def shares(rows: Array, window: int) -> Array:
    """The decoder's share in windows that do not overlap."""
    count = len(rows) // window
    sums = rows[: count * window].reshape(count, window, rows.shape[1]).sum(axis=1)
    sums = sums[sums[:, 0] >= mark.LEAST_HEARD * window * mark.ROW]
    return sums[:, 1] / np.maximum(sums[:, 0], 1)


def joined(found: dict[str, list[Array]]) -> None:
    """Alarms on ten minutes of pieces in random order, each piece used many times."""
    rng = random.Random(0)
    pieces = [tracks[0] for tracks in found.values()]
    alarms = 0
    for _ in range(JOINED):
        rows: list[Array] = []
        while sum(map(len, rows)) * mark.ROW_S < JOINED_S:
            rows.append(rng.choice(pieces))
        alarms += mark.judged([np.concatenate(rows)], JOINED_S).marked
    print(f"{JOINED} files of {JOINED_S} s, joined from pieces: {alarms} alarms")


def tail(found: dict[str, list[Array]]) -> None:
    """The projection in windows without a mark, as the detector takes it; and the tail of patterns that nobody uses
    (signs drawn by chance, with runs like the mark's, through filters made alike): far more draws of it."""
    _, spread = covariance(found)
    rng = np.random.default_rng(0)
    filters = [np.linalg.solve(spread, sham(rng)) for _ in range(SHAMS)]
    rows = []
    for window in (2, 4, 8, 16, 32):
        fine = np.concatenate([standing_out(part, window, suspected=True) for part in tracks_of(found)])
        heard = sum(len(shares(part, window)) for part in tracks_of(found))
        true = fine @ np.array(WEIGHTS) - MEAN
        others = np.concatenate([scaled(fine @ weights) for weights in filters])
        tails = [f"{np.mean(others > k):.1e} ({1 - NormalDist().cdf(k):.1e})" for k in (3, 4, 5)]
        rows.append(
            (
                f"{window * mark.ROW_S:g} s",
                heard,
                f"{len(true) / max(heard, 1):.2f}",
                f"{true.mean():.2f}",
                f"{true.std():.2f}",
                f"{true.max():.2f}",
                *tails,
            )
        )
    table(("window", "number", "suspected", "mean", "deviation", "highest", "others > 3 (normal)", "> 4", "> 5"), rows)
    pairs = [(standing_out(part, 2, suspected=True), part) for part in tracks_of(found)]
    surely = [fine[suspected_shares(part, 2) >= mark.TIERS[0][0]] for fine, part in pairs]
    sure = np.concatenate(surely) @ np.array(WEIGHTS) - MEAN
    print(
        f"where the decoder is sure: {len(sure)} windows of 1 s, mean {sure.mean():.2f}, deviation {sure.std():.2f}, "
        f"highest {sure.max():.2f}"
    )


def tracks_of(found: dict[str, list[Array]]) -> Iterator[Array]:
    """All tracks of all files."""
    for tracks in found.values():
        yield from tracks


def suspected_shares(rows: Array, window: int) -> Array:
    """The decoder's share in the windows that `standing_out(..., suspected=True)` keeps."""
    count = len(rows) // window
    sums = rows[: count * window].reshape(count, window, rows.shape[1]).sum(axis=1)
    kept = (sums[:, 0] >= mark.LEAST_HEARD * window * mark.ROW) & (sums[:, 1] >= mark.LEAST_FRAMES)
    return sums[kept, 1] / np.maximum(sums[kept, 0], 1)


def scaled(value: Array) -> Array:
    """With mean 0 and deviation 1."""
    return (value - value.mean()) / value.std()


def sham(rng: np.random.Generator) -> Array:
    """Signs with runs as long as the mark's."""
    signs = np.cumprod(np.where(rng.random(len(WEIGHTS)) < 0.4, -1, 1))
    return signs * rng.choice([-1, 1])


if __name__ == "__main__":
    if sys.argv[1] == "rows":
        write_rows(sys.argv[2], sys.argv[3:])
    else:
        {"fit": fit, "check": check}[sys.argv[1]](sys.argv[2:])
