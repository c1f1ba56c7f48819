"""One stage of a dora chain; dora starts it with STAGE, COUNT and FOLDER in its environment."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pyarrow as pa
from dora import Node

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from links_stage import CHANNELS, Maker, Pace, Times, announce, number_of


def main() -> None:
    number, count, folder = int(os.environ["STAGE"]), int(os.environ["COUNT"]), Path(os.environ["FOLDER"])
    node = Node()
    announce(folder, f"n{number}")
    if number == 0:
        make(node, folder)
    else:
        follow(node, folder, number, last=number == count - 1)


def make(node: Node, folder: Path) -> None:
    pace, maker = Pace(), Maker(folder)
    while not (folder / "stop").exists():
        pace.wait()
        node.send_output("out", pa.array(maker.frame().ravel()))
    maker.times.save()


def follow(node: Node, folder: Path, number: int, *, last: bool) -> None:
    times = Times(folder, "arrived" if last else f"sent{number}")
    for event in node:
        if event["type"] == "STOP":
            break
        if event["type"] == "INPUT":
            x = event["value"].to_numpy().reshape(-1, CHANNELS)
            times.add(number_of(x), time.monotonic_ns())
            if not last:
                node.send_output("out", event["value"])
    times.save()


main()
