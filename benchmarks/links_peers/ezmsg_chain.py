"""A chain of ezmsg units, each in a process of its own: `ezmsg_chain.py COUNT FOLDER`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import ezmsg.core as ez
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from links_stage import PERIOD_NS, Maker, Times, announce, number_of


class StageSettings(ez.Settings):
    number: int
    folder: Path


class Tone(ez.Unit):
    SETTINGS = StageSettings
    OUT = ez.OutputStream(np.ndarray)

    @ez.publisher(OUT)
    async def make(self) -> AsyncGenerator[tuple[ez.OutputStream, np.ndarray], None]:
        announce(self.SETTINGS.folder, "n0")
        deadline_ns, maker = time.monotonic_ns(), Maker(self.SETTINGS.folder)
        while not (self.SETTINGS.folder / "stop").exists():
            deadline_ns += PERIOD_NS
            await asyncio.sleep(max(deadline_ns - time.monotonic_ns(), 0) / 1e9)
            yield self.OUT, maker.frame()
        maker.times.save()
        raise ez.NormalTermination


class Pass(ez.Unit):
    SETTINGS = StageSettings
    IN = ez.InputStream(np.ndarray)
    OUT = ez.OutputStream(np.ndarray)

    async def initialize(self) -> None:
        self._times = Times(self.SETTINGS.folder, f"sent{self.SETTINGS.number}")
        announce(self.SETTINGS.folder, f"n{self.SETTINGS.number}")

    @ez.subscriber(IN, zero_copy=True)
    @ez.publisher(OUT)
    async def hand_on(self, x: np.ndarray) -> AsyncGenerator[tuple[ez.OutputStream, np.ndarray], None]:
        self._times.add(number_of(x), time.monotonic_ns())
        yield self.OUT, x

    async def shutdown(self) -> None:
        self._times.save()


class Probe(ez.Unit):
    SETTINGS = StageSettings
    IN = ez.InputStream(np.ndarray)

    async def initialize(self) -> None:
        self._times = Times(self.SETTINGS.folder, "arrived")
        announce(self.SETTINGS.folder, f"n{self.SETTINGS.number}")

    @ez.subscriber(IN, zero_copy=True)
    async def take(self, x: np.ndarray) -> None:
        self._times.add(number_of(x), time.monotonic_ns())

    async def shutdown(self) -> None:
        self._times.save()


def main() -> None:
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    kinds = [Tone] + [Pass] * (count - 2) + [Probe]
    units = {f"N{i}": kind(StageSettings(number=i, folder=folder)) for i, kind in enumerate(kinds)}
    edges = [(units[f"N{i}"].OUT, units[f"N{i + 1}"].IN) for i in range(count - 1)]
    ez.run(components=units, connections=edges, process_components=list(units.values()))


if __name__ == "__main__":
    main()
