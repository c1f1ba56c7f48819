"""Everything that takes bytes from outside, each with some that are right to begin from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from tests.fuzz import control, ends, files, links


class Target(NamedTuple):
    """`open` gives a function that takes any bytes and raises only where something is wrong with the program."""

    open: Callable[[], AbstractContextManager[Callable[[bytes], None]]]
    seeds: Sequence[bytes]
    share: float  # of all inputs: what is slow to try gets fewer


TARGETS = {
    "frame": Target(links.frames, links.FRAME_SEEDS, 0.2),
    "event": Target(links.events, links.EVENT_SEEDS, 0.1),
    "producer": Target(links.producer, links.WORD_SEEDS, 0.1),
    "consumer": Target(links.consumer, links.WORD_SEEDS, 0.1),
    "feed": Target(ends.feed, ends.SEEDS, 0.05),
    "sending": Target(ends.sending, ends.SEEDS, 0.04),
    "listening": Target(ends.listening, ends.SEEDS, 0.05),
    "gateway": Target(ends.gateway, ends.SEEDS, 0.04),
    "control-bytes": Target(control.raw, control.SEEDS, 0.1),
    "control-words": Target(control.words, [bytes(40), bytes(range(200))], 0.08),
    "yaml": Target(files.yaml, files.YAML_SEEDS, 0.03),
    "run-folder": Target(files.run_folder, files.RUN_SEEDS, 0.01),
    "recording": Target(files.recording, files.WAV_SEEDS, 0.04),
    "checkpoint": Target(files.checkpoint, files.PICKLE_SEEDS, 0.06),
}
