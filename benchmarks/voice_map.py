"""Draw the map of voices: GE2E embeddings of real clips, stock voices and fitted ones, in two dimensions.

Run: python benchmarks/voice_map.py cloning docs/pictures/embedding_map.png
where `cloning` is what `benchmarks/voice_cloning.py --out cloning` left.
The axes are the first two principal ones of the readers' test clips: the plane in which the eight lie furthest apart.
The fitted and the stock voices took no part in choosing it. Each reader's own dots are pieces of 3.5 s and the tests.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt
from separation_common import Array

from audio_pipeline.models.voices.quick import trained

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f5539", "#444444")


def plane(found: dict[str, dict[str, Array]]) -> Callable[[Array], Array]:
    """The projection of embeddings (..., 256) to (..., 2)."""
    people = np.stack([data["test"] for data in found.values()])
    mean = people.mean(axis=0)
    _, _, axes = np.linalg.svd(people - mean, full_matrices=False)
    return lambda looks: (looks - mean) @ axes[:2].T


def draw(found: dict[str, dict[str, Array]], out: Path) -> None:
    """Writes the picture."""
    figure, axes = plt.subplots(figsize=(10, 7.5), layout="constrained")
    to_plane = plane(found)
    stock = to_plane(np.stack(list(trained().stock.values())))
    axes.scatter(*stock.T, marker=".", s=60, color="#bbbbbb", label="stock voices", zorder=1)
    for colour, (name, data) in zip(COLOURS, found.items(), strict=False):
        person = to_plane(np.concatenate([data["the person.looks"], data["test"][None]]))
        ways = [to_plane(data[f"{way}.looks"]).mean(axis=0) for way in ("nearest stock", "quick", "refined")]
        axes.scatter(*person.T, s=70, color=colour, alpha=0.45, edgecolors="none", zorder=2)
        axes.plot(*np.array(ways).T, color=colour, linewidth=1, alpha=0.7, zorder=3)
        for way, marker, size in zip(ways, ("x", "^", "*"), (60, 70, 260), strict=True):
            axes.scatter(*way, marker=marker, s=size, color=colour, zorder=4)
        outside = person[-1] / np.linalg.norm(person[-1])
        axes.annotate(
            name,
            person[-1],
            tuple(20 * outside),
            textcoords="offset points",
            ha="center",
            va="center",
            color=colour,
            fontsize=13,
            fontweight="bold",
            zorder=5,
        )
    for marker, size, label in (
        ("o", 70, "the person's own clips"),
        ("x", 60, "nearest stock voice, speaking"),
        ("^", 70, "quick fit"),
        ("*", 220, "refined fit"),
    ):
        axes.scatter([], [], marker=marker, s=size, color="#333333", label=label)
    axes.margins(0.1)
    axes.legend(fontsize=11, loc="best", framealpha=0.9)
    axes.set(xticks=[], yticks=[], title="Voices as GE2E hears them: fits move towards their person (colour, number)")
    figure.savefig(out, dpi=110)


def main() -> None:
    """Reads what the benchmark left and draws it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    draw({path.stem: dict(np.load(path)) for path in sorted(args.folder.glob("*.npz"))}, args.out)


if __name__ == "__main__":
    main()
