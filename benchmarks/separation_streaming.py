"""The sliding-window modes against official offline output at equal alignment, by hop between inferences.

python benchmarks/separation_streaming.py
python benchmarks/separation_streaming.py --ladder 2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from separation_common import RATE, agreement_db, machine, read, table, two_stems

from audio_pipeline.models.separation.grid import ladder_rungs
from audio_pipeline.models.separation.stream import separate
from audio_pipeline.models.separation.tuning import tune
from audio_pipeline.models.separation.types import HOPS, Model, SeparatorSettings, stated_latency

MODES = ("low", "balanced", "quality")


def rows(model: Model, hops: list[int]) -> Iterator[tuple[object, ...]]:
    """A row for each mode and hop; the hop that this machine would choose live is marked."""
    clip = read("spleeter_official/mixture.flac")
    official = {stem: read(f"spleeter_official/{stem}.wav") for stem in model.spec.stems}
    for mode in MODES:
        live = tune(model, SeparatorSettings(mode)).hop
        for hop in sorted({*hops, live}):
            settings = SeparatorSettings(mode, hop)
            found, stated = separate(model, clip, settings), stated_latency(model.spec, settings)
            terms = [f"{1000 * samples / RATE:.0f}" for samples in (*stated, stated.total)]
            scores = [f"{agreement_db(official[stem], found[stem]):.2f}" for stem in model.spec.stems]
            yield mode, f"{hop}{' (live here)' if hop == live else ''}", *terms, *scores


def rungs(model: Model, hop: int) -> Iterator[tuple[object, ...]]:
    """What each rung of a mode's ladder costs in work and gives in agreement; the latency is the same on all."""
    clip = read("spleeter_official/mixture.flac")
    official = {stem: read(f"spleeter_official/{stem}.wav") for stem in model.spec.stems}
    for mode in MODES:
        settings = SeparatorSettings(mode, hop)
        ladder = ladder_rungs(model.spec, settings)
        for step, rung in enumerate(ladder):
            found = separate(model, clip, settings, rung)
            scores = [f"{agreement_db(official[stem], found[stem]):.2f}" for stem in model.spec.stems]
            latency = f"{1000 * stated_latency(model.spec, settings).total / RATE:.0f}"
            yield mode, step, *rung, latency, f"{rung.work / ladder[0].work:.2f}", *scores


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hops", type=int, nargs="+", default=[1, 2, 4, 8], choices=HOPS)
    parser.add_argument("--ladder", type=int, choices=HOPS, help="the rungs below this hop instead")
    args = parser.parse_args()
    print(machine() + "\n")
    if args.ladder:
        head = ["mode", "step down", "window", "lookahead", "hop", "algorithmic latency ms", "work"]
        table([*head, "voice dB", "band dB"], rungs(two_stems(), args.ladder))
        return
    head = ["mode", "hop", "window ms", "lookahead ms", "hop ms", "algorithmic latency ms"]
    table([*head, "voice dB", "band dB"], rows(two_stems(), args.hops))


if __name__ == "__main__":
    main()
