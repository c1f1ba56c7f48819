"""True singing: uSDR of voice and band on excerpts of real songs, beside official Spleeter's figures.

python benchmarks/separation_singing.py
python benchmarks/separation_singing.py --against-fp32     what the engine and precision chosen here cost
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from separation_common import OFFICIAL, Array, machine, read, table, two_stems, usdr_db

from audio_pipeline.dsp.normalise import NormaliserSettings
from audio_pipeline.models.separation.stream import separate
from audio_pipeline.models.separation.types import HOPS, Model, SeparatorSettings

NORMALISE = NormaliserSettings()
Scores = list[tuple[float, float]]


def excerpts() -> dict[str, tuple[Array, Array]]:
    """Mixture and true voice (samples, 1) by name."""
    return {name: (read(f"singing/{name}/mixture.flac"), read(f"singing/{name}/voice.flac")) for name in OFFICIAL}


def score(model: Model, settings: SeparatorSettings, level_db: float = 0.0) -> Scores:
    """(voice, band) of each excerpt; `level_db` turns the mixture up before and the stems down after."""
    gain = np.float32(10 ** (level_db / 20))
    found = []
    for mixture, voice in excerpts().values():
        stems = separate(model, np.repeat(mixture * gain, 2, axis=1), settings)
        estimate = {stem: sound.mean(axis=1, keepdims=True) / gain for stem, sound in stems.items()}
        band = usdr_db(mixture - voice, estimate["accompaniment"])
        found.append((usdr_db(voice, estimate["vocals"]), band))
    return found


def row(name: str, scores: Scores, cells: bool = True) -> list[str]:
    """A line of the table: each excerpt, the mean, and the mean's distance to the official one."""
    mean, official = np.mean(scores, axis=0), np.mean(list(OFFICIAL.values()), axis=0)
    items = [f"{voice:.2f}/{band:.2f}" for voice, band in scores] if cells else []
    away = mean - official
    return [name, *items, f"{mean[0]:.2f}/{mean[1]:.2f}", f"{away[0]:+.2f}/{away[1]:+.2f}"]


def modes(model: Model, hops: list[int]) -> Iterator[list[str]]:
    """Official figures, offline, and each live mode at each hop."""
    yield row("official", list(OFFICIAL.values()))
    yield row("offline", score(model, SeparatorSettings("offline")))
    for mode in ("low", "balanced", "quality"):
        for hop in hops:
            yield row(f"{mode}, hop {hop}", score(model, SeparatorSettings(mode, hop)))


def against_fp32(hops: list[int]) -> Iterator[list[str]]:
    """What this machine chooses, offline too, beside full precision: means, and the largest difference."""
    exact, chosen = two_stems("fp32"), two_stems("auto")
    cases = [("offline", 1), *((mode, hop) for mode in ("low", "balanced", "quality") for hop in hops)]
    for mode, hop in cases:
        pair = [np.array(score(model, SeparatorSettings(mode, hop))) for model in (exact, chosen)]
        means = [f"{voice:.3f}/{band:.3f}" for voice, band in (scores.mean(axis=0) for scores in pair)]
        apart = np.abs(pair[1] - pair[0]).max(axis=0)
        yield [mode if mode == "offline" else f"{mode}, hop {hop}", *means, f"{apart[0]:.3f}/{apart[1]:.3f}"]


def options(model: Model) -> Iterator[list[str]]:
    """What the residual and the normaliser gain or cost."""
    for mode, hop in (("offline", 1), ("balanced", 4)):
        plain = SeparatorSettings(mode, hop)
        yield row(mode, score(model, plain), cells=False)
        yield row(f"{mode}, residual", score(model, SeparatorSettings(mode, hop, residual=True)), cells=False)
        normalised = SeparatorSettings(mode, hop, normalise=NORMALISE)
        yield row(f"{mode}, normaliser", score(model, normalised), cells=False)
        for level_db in (-20.0, -40.0):
            yield row(f"{mode}, {level_db:g} dB", score(model, plain, level_db), cells=False)
            yield row(f"{mode}, {level_db:g} dB, normaliser", score(model, normalised, level_db), cells=False)


def song(model: Model, hops: list[int]) -> Iterator[tuple[str, ...]]:
    """The same score on 40 s of an electronic song with true stereo stems."""
    true = {"vocals": read("song_cc0/vocals.flac"), "accompaniment": read("song_cc0/accompaniment.flac")}
    mixture = true["vocals"] + true["accompaniment"]
    yield "the mixture itself", *(f"{usdr_db(sound, mixture):.2f}" for sound in true.values())
    cases = [("offline", 1, False), ("offline", 1, True)]
    cases += [(mode, hop, False) for mode in ("low", "balanced", "quality") for hop in hops]
    for mode, hop, residual in cases:
        found = separate(model, mixture, SeparatorSettings(mode, hop, residual=residual))
        name = mode if mode == "offline" else f"{mode}, hop {hop}"
        yield name + (", residual" if residual else ""), *(f"{usdr_db(true[s], found[s]):.2f}" for s in true)


def main() -> None:
    """Prints three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, nargs="+", default=[1, 2, 4], choices=HOPS)
    parser.add_argument("--against-fp32", action="store_true", help="the table of that alone")
    args = parser.parse_args()
    if args.against_fp32:
        print(f"{machine()}\n{getattr(two_stems('auto'), 'engine', '')}\n")
        table(["mode", "fp32", "chosen here", "largest difference"], against_fp32(args.hops))
        return
    model = two_stems()
    print(machine() + "\n\nVoice/band in dB, by excerpt.\n")
    table(["mode", *OFFICIAL, "mean", "against official"], modes(model, args.hops))
    print("\nThe same means with and without residual and normaliser, at the level of the excerpts and below it.\n")
    table(["setting", "mean", "against official"], options(model))
    print("\n40 s of an electronic song.\n")
    table(["mode", "voice dB", "band dB"], song(model, args.hops[-1:]))


if __name__ == "__main__":
    main()
