"""Voice conversion: likeness to the target, pitch, joins, the mark, and what a block takes.

Run: python benchmarks/voice_conversion.py [likeness pitch joins mark pace]
The delay through a running graph: python -m pytest -m proof --proof-scale 1 -rP tests/proofs/test_convert.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import soundfile
from separation_common import SHARED, Array, machine, table

from audio_pipeline.dsp.resample import resampled
from audio_pipeline.models.convert import world
from audio_pipeline.models.convert.blocks import BlockConverter, Layout
from audio_pipeline.models.convert.formant import Calibration
from audio_pipeline.models.convert.mark import BlockMark
from audio_pipeline.models.convert.target import target_of
from audio_pipeline.models.convert.world_voice import WorldConverter
from audio_pipeline.models.hearing import ge2e, perth, speech
from audio_pipeline.models.voices.converter import Wish, open_converter

RATE = 48_000
PAIRS = {
    "high to low": (("533", "2384"), ("1998", "3005"), ("200", "2609"), ("3080", "3005")),
    "low to high": (("2384", "533"), ("3005", "1998"), ("2609", "200"), ("2384", "3080")),
    "within": (("2609", "2384"), ("533", "3080"), ("3005", "2384"), ("1998", "200")),
}
LEARN_S, HEARD_S = 8, 10
BLOCKS_MS = (30, 40, 50, 60, 100)


@cache
def clip(reader: str, number: int) -> Array:
    """(samples,) at 48 kHz."""
    path = sorted(SHARED.glob(f"speech/{reader}/*.flac"))[number]
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return resampled(x, rate, RATE)[:, 0]


@cache
def encoder() -> ge2e.SpeakerEncoder:
    return ge2e.load()


def embedding(x: Array) -> Array:
    return encoder().utterance(speech.prepare(x[:, None], RATE))


def converted(source: str, target: str, colour: float = 1.0) -> tuple[Array, Array, Calibration]:
    """What came in and what came out after the converter had learnt from another clip: (samples,) each."""
    calibration = Calibration(target_of(clip(target, 0)[:, None], RATE, encoder()), encoder(), None, colour)
    converter = WorldConverter(calibration.target.pitch, on_stretch=calibration.add)
    calibration.converter = converter
    lesson, x = clip(source, 0)[: LEARN_S * RATE], clip(source, 1)[: HEARD_S * RATE]
    blocks = BlockConverter(converter, RATE)
    y = np.concatenate([blocks.process(np.concatenate([lesson, x])), blocks.finish()])
    return x, y[len(lesson) :], calibration


def semitones(source: str, target: str) -> float:
    """Between the mean pitches of two readers."""
    means = [target_of(clip(reader, 0)[:, None], RATE, encoder()).pitch.mean for reader in (source, target)]
    return float(12 * (means[1] - means[0]) / np.log(2))


def shifted_by_librosa(x: Array, steps: float) -> Array:
    import librosa

    return np.asarray(librosa.effects.pitch_shift(x, sr=RATE, n_steps=steps), np.float32)


def shifted_by_pedalboard(x: Array, steps: float) -> Array:
    from pedalboard import Pedalboard, PitchShift

    return np.asarray(Pedalboard([PitchShift(semitones=steps)])(x, RATE), np.float32)


def rivals() -> dict[str, Callable[[Array, float], Array]]:
    """What is installed here."""
    found: dict[str, Callable[[Array, float], Array]] = {"librosa": shifted_by_librosa}
    try:
        import pedalboard  # noqa: F401
    except ImportError:
        return found
    return {**found, "pedalboard": shifted_by_pedalboard}


def likeness() -> None:
    """Cosines of GE2E to a clip of the target that neither enrolment nor search has heard."""
    others, rows, gains = rivals(), [], []
    for kind, pairs in PAIRS.items():
        for source, target in pairs:
            x, y, calibration = converted(source, target)
            goal = embedding(clip(target, 1))
            plain = converted(source, target, colour=0.0)[1]
            steps = semitones(source, target)
            scores = [ge2e.similarity(goal, embedding(v)) for v in (x, plain, y)]
            scores += [ge2e.similarity(goal, embedding(way(x, steps))) for way in others.values()]
            own, level = ge2e.similarity(embedding(y), embedding(clip(source, 0))), db(y) - db(x)
            gains.append(scores[2] - scores[0])
            found = calibration.findings[-1].formant
            values = [f"{value:.3f}" for value in (*scores, own)]
            rows.append((kind, f"{source} to {target}", f"{steps:+.1f}", f"{found:.2f}", *values, f"{level:+.1f}"))
    table(
        ("pair", "readers", "semitones", "formants", "before", "no colour", "converted", *others, "to oneself", "dB"),
        rows,
    )
    print(f"gain: median {np.median(gains):+.3f}, lowest {min(gains):+.3f}, highest {max(gains):+.3f}")
    kept = []
    for reader in ("1998", "2384", "2609", "3005", "3080", "533"):
        blocks, x = BlockConverter(WorldConverter(None), RATE), clip(reader, 1)[: HEARD_S * RATE]
        y = np.concatenate([blocks.process(x), blocks.finish()])
        kept.append(ge2e.similarity(embedding(x), embedding(y)))
    print(f"resynthesis without a change keeps {np.mean(kept):.3f} of the identity (lowest {min(kept):.3f})")


def db(x: Array) -> float:
    return float(10 * np.log10(np.mean(np.square(x, dtype=np.float64))))


def harvested(x: Array) -> Any:
    return world.pitch(resampled(x[:, None], RATE, world.RATE)[:, 0].astype(np.float64), careful=True)


def pitch() -> None:
    """Against Harvest on the input times the wanted ratio, where DIO saw pitch as well."""
    rows = []
    for steps in (-7, 0, 5):
        cents, voiced = [], []
        for reader in ("1998", "3005", "533"):
            x = clip(reader, 1)[: HEARD_S * RATE]
            blocks = BlockConverter(WorldConverter(None, semitones=float(steps)), RATE)
            y = np.concatenate([blocks.process(x), blocks.finish()])
            own = resampled(x[:, None], RATE, world.RATE)[:, 0].astype(np.float64)
            before, after, live = harvested(x), harvested(y), world.pitch(own)
            n = min(len(before), len(after), len(live))
            moved = (before[:n] > 0) & (live[:n] > 0)
            both = moved & (after[:n] > 0)
            cents.append(1200 * np.log2(after[:n][both] / before[:n][both]) - 100 * steps)
            voiced.append(both.sum() / moved.sum())
        all_cents = np.abs(np.concatenate(cents))
        middle, far = np.median(all_cents), np.percentile(all_cents, 90)
        wrong = np.mean(all_cents > 300) * 100
        rows.append((f"{steps:+d}", f"{middle:.0f}", f"{far:.0f}", f"{wrong:.1f} %", f"{np.mean(voiced) * 100:.0f} %"))
    table(("semitones", "median cents", "90 of 100 below", "gross (3 semitones)", "still voiced"), rows)


def joins() -> None:
    """The largest step inside each join above the largest around it and in what came in there, of full scale."""
    rows = []
    for source, target in [pair for pairs in PAIRS.values() for pair in pairs[:1]]:
        x, y, _ = converted(source, target)
        own, steps, layout = np.abs(np.diff(x)), np.abs(np.diff(y)), Layout()
        block, fade = round(layout.block_ms * RATE / 1000), round(layout.fade_ms * RATE / 1000)
        first = block - LEARN_S * RATE % block
        excess = []
        for at in range(first + block, len(steps) - block, block):
            around = (steps[at - fade : at - 2], steps[at + fade : at + block], own[at - fade :][: 3 * fade])
            excess.append(steps[at - 2 : at + fade].max() - max(part.max() for part in around))
        rows.append(
            (f"{source} to {target}", f"{max(excess):+.3f}", f"{np.percentile(excess, 99):+.3f}", f"{steps.max():.3f}")
        )
    table(("readers", "largest excess", "99 of 100 below", "largest step at all"), rows)


def mark() -> None:
    """Confidence in pieces of two seconds, by block and by what the converted sound went through."""
    networks = perth.load()
    ways: dict[str, Callable[[Array], tuple[Array, int]]] = {
        "as it is": lambda x: (x, RATE),
        "8 kHz": lambda x: (resampled(x, RATE, 8_000), 8_000),
        "noise at 20 dB": lambda x: (x + noise_like(x) / 10, RATE),
        "unmarked": lambda x: (x, RATE),
    }
    rows = []
    for block_ms, past_ms in ((30, 100), (50, 0), (50, 100), (50, 400), (250, 100)):
        marked, plain, took = [], [], []
        for reader in ("1998", "3005", "533"):
            x = clip(reader, 1)[: HEARD_S * RATE]
            layout, finish = replace(Layout(), block_ms=block_ms), BlockMark(networks, RATE, past_ms=past_ms)
            both = []
            for last in (None, finish):
                blocks = BlockConverter(WorldConverter(None, semitones=3.0, formant=1.1), RATE, layout, last)
                both.append(np.concatenate([blocks.process(x), blocks.finish()]))
            plain.append(both[0])
            marked.append(both[1])
            began = time.perf_counter()
            for at in range(0, RATE, block_ms * 48):
                finish.process(x[at : at + block_ms * 48], x[at : at + 1_200])
            took.append((time.perf_counter() - began) * block_ms)
        cells = []
        for name, way in ways.items():
            found = [
                perth.confidence(networks, *way(piece[:, None]))
                for y in (plain if name == "unmarked" else marked)
                for piece in np.split(y[: len(y) // (2 * RATE) * 2 * RATE], len(y) // (2 * RATE))
            ]
            cells.append(f"{sum(v >= perth.PRESENT for v in found)} of {len(found)} ({np.median(found):.2f})")
        below = np.mean([db(y) - db(z - y) for y, z in zip(plain, marked, strict=True)])
        rows.append((f"{block_ms}", f"{past_ms}", *cells, f"{below:.0f}", f"{np.median(took):.1f}"))
    table(("block ms", "past ms", *ways, "mark below, dB", "ms a block"), rows)


def noise_like(x: Array) -> Array:
    noise = np.random.default_rng(0).standard_normal(x.shape) * np.sqrt(np.mean(x**2))
    return noise.astype(np.float32)


def pace() -> None:
    """What a block takes, mark included, one thread; the limit is 0.7 of the block."""
    x, rows = clip("1998", 1)[: 12 * RATE], []
    sample = clip("3005", 0)[:, None], RATE
    for block_ms in BLOCKS_MS:
        ready = open_converter(Wish(sample=sample, block_ms=block_ms), RATE, run=lambda job: None)
        ready.warm_up()
        blocks, took = ready.blocks, []
        blocks.push(x)
        while (window := blocks.pending()) is not None:
            began = time.perf_counter()
            blocks.accept(window, blocks.run(window))
            took.append((time.perf_counter() - began) * 1000)
        p50, p95, most = np.percentile(took, [50, 95, 100])
        delay = blocks.latency_samples * 1000 / RATE
        rows.append(
            (
                f"{block_ms}",
                f"{delay:.0f}",
                f"{p50:.1f}",
                f"{p95:.1f}",
                f"{most:.1f}",
                f"{0.7 * block_ms:.0f}",
                f"{p50 / block_ms:.2f}",
            )
        )
    table(("block ms", "delay without compute, ms", "p50 ms", "p95 ms", "max ms", "limit ms", "of real time"), rows)


PARTS = {"likeness": likeness, "pitch": pitch, "joins": joins, "mark": mark, "pace": pace}


def main() -> None:
    """Prints the tables of the parts that are named, or of all."""
    print(machine())
    for name in sys.argv[1:] or PARTS:
        print(f"\n{name}: {(PARTS[name].__doc__ or '').strip()}")
        PARTS[name]()


if __name__ == "__main__":
    main()
