"""One stage of a bare pyzmq chain over PUSH and PULL: `zmq_stage.py NUMBER COUNT FOLDER`."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import numpy as np
import zmq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from links_stage import CHANNELS, Maker, Pace, Samples, Times, announce, number_of


def main() -> None:
    number, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    context = zmq.Context()
    context.setsockopt(zmq.LINGER, 0)
    announce(folder, f"n{number}")
    taken = context.socket(zmq.PULL)
    if number > 0:
        taken.connect(f"ipc://{folder}/link{number - 1}")
    sent = context.socket(zmq.PUSH)
    if number < count - 1:
        sent.bind(f"ipc://{folder}/link{number}")
    if number == 0:
        make(sent, folder)
    else:
        follow(taken, sent if number < count - 1 else None, folder, number)


def make(sent: zmq.Socket[bytes], folder: Path) -> None:
    pace, maker = Pace(), Maker(folder)
    try:
        while True:
            pace.wait()
            sent.send(maker.frame().tobytes())
    finally:
        maker.times.save()


def follow(taken: zmq.Socket[bytes], sent: zmq.Socket[bytes] | None, folder: Path, number: int) -> None:
    times = Times(folder, f"sent{number}" if sent else "arrived")
    try:
        while True:
            x: Samples = np.frombuffer(taken.recv(), np.float32).reshape(-1, CHANNELS)
            times.add(number_of(x), time.monotonic_ns())
            if sent is not None:
                sent.send(x.tobytes())
    finally:
        times.save()


main()
