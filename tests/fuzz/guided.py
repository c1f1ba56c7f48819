"""Lets atheris search for inputs by the code they reach: `python -m tests.fuzz.guided TARGET COUNT SEED FOLDER`.

Needs the extra `fuzz`. What libFuzzer finds ends the process with an error and lies in the folder as `crash-...`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["audio_pipeline", "tests.fuzz"]):
    from tests.fuzz.targets import TARGETS

MOST_BYTES = 2048
HANG_S = 20


def main() -> None:
    name, count, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(TARGETS[name].seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    options = [
        f"-runs={count}",
        f"-seed={seed}",
        f"-max_len={MOST_BYTES}",
        f"-timeout={HANG_S}",
        "-rss_limit_mb=2048",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        str(corpus),
    ]
    with TARGETS[name].open() as attempt:
        atheris.Setup([sys.argv[0], *options], attempt)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
