"""Other stretchers in an environment of their own: `peers.py NAME SPEED IN.npy OUT.npy`; prints CPU seconds."""

from __future__ import annotations

import sys
import time

import numpy as np

RATE = 44_100
BLOCK = 512


def signalsmith(x: np.ndarray, speed: float) -> np.ndarray:
    """The whole sound at once: its Python binding does not stream."""
    import python_stretch

    made = python_stretch.Signalsmith.Stretch()
    made.preset(x.shape[1], RATE)
    made.timeFactor = speed
    return np.asarray(made.process(np.ascontiguousarray(x.T))).T


def rubberband(x: np.ndarray, speed: float) -> np.ndarray:
    """R3 in real time, block by block."""
    from pylibrb import Option, RubberBandStretcher

    options = Option.PROCESS_REALTIME | Option.ENGINE_FINER
    made = RubberBandStretcher(RATE, x.shape[1], options, initial_time_ratio=1 / speed)
    pad, delay = made.get_preferred_start_pad(), made.get_start_delay()
    padded = np.concatenate([np.zeros((pad, x.shape[1]), np.float32), x, np.zeros((2 * delay, x.shape[1]), np.float32)])
    out = []
    for at in range(0, len(padded), BLOCK):
        made.process(np.ascontiguousarray(padded[at : at + BLOCK].T), final=at + BLOCK >= len(padded))
        while made.available() > 0:
            out.append(np.asarray(made.retrieve_available()).T.copy())
    return np.concatenate(out)[delay : delay + round(len(x) / speed)]


def main(name: str, speed: str, source: str, target: str) -> None:
    x, work = np.load(source), {"signalsmith": signalsmith, "rubberband": rubberband}[name]
    work(x[:RATE], float(speed))  # what is loaded and allocated at first
    began = time.process_time()
    np.save(target, work(x, float(speed)))
    print(time.process_time() - began)


if __name__ == "__main__":
    main(*sys.argv[1:])
