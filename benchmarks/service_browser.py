"""Browser -> graph -> browser: chirps of a fake microphone through the media process and a mixer, in a real Chromium.

`python benchmarks/service_browser.py [--seconds 40] [--frame-ms 10] [--blocked]`. Microphone and loudspeaker are
recorded in one audio context, so a delay is a difference of two counts of samples. It is what lies between the two
worklets; the devices add what the browser states for them. `--blocked`: the page's thread is busy 150 ms of every 400.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.service.browser.lags import lags_ms
from tests.service.browser.stage import Stage, await_playing, begin, recorded, stage, status

SETTLED_S = 3.0
TOLERANCE_MS = 10.0


def start(page: Page, seconds: float) -> float:
    """Until sound is heard, in s; then the microphone is open and a recorder runs."""
    began = time.monotonic()
    begin(page, feed="singer")
    await_playing(page)
    first_s = time.monotonic() - began
    page.evaluate("(s) => record(s)", seconds)
    page.evaluate("() => openMic()")
    return first_s


def percentiles(values: list[float]) -> str:
    p50, p95, p99 = np.percentile(values, (50, 95, 99))
    return f"p50 {p50:.1f} ms, p95 {p95:.1f}, p99 {p99:.1f}, max {max(values):.1f} ({len(values)} chirps)"


def settling(lags: list[tuple[float, float]]) -> str:
    """The first moment from which on every delay lies within 10 ms of the median of all that follow."""
    for k, (at, _) in enumerate(lags):
        rest = np.array([lag for _, lag in lags[k:]])
        if np.abs(rest - np.median(rest)).max() <= TOLERANCE_MS:
            return f"from {at:.1f} s on within {TOLERANCE_MS:.0f} ms of its median"
    return "never"


def waiting(scene: Stage, page: Page) -> tuple[float, float]:
    """The delay that the graph's buffer aims at now, and that of the page, in ms."""
    return scene.gauges("singer")["target_ms"], status(page)["buffer_ms"]


def shares(waits: list[tuple[float, float]], total_ms: float) -> str:
    """What waits where; the rest is the mixer's frame, ways and threads."""
    graph_ms, page_ms = np.median(waits, axis=0)
    rest_ms = total_ms - graph_ms - page_ms
    return f"buffer of the graph {graph_ms:.1f} ms, buffer of the page {page_ms:.1f}, frames and ways {rest_ms:.1f}"


def main() -> None:
    """Run once and print."""
    parser = argparse.ArgumentParser(description="Round trip of a browser's microphone")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--frame-ms", type=float, default=10.0)
    parser.add_argument("--blocked", action="store_true", help="the page's thread is busy 150 ms of every 400")
    options = parser.parse_args()
    with stage(song_db=-120, frame_ms=options.frame_ms) as scene, scene.page() as page:
        first_s = start(page, options.seconds)
        if options.blocked:
            page.evaluate("() => { setInterval(() => block(150), 400) }")
        waits = []
        for _ in range(8):
            page.wait_for_timeout(options.seconds * 125)
            waits.append(waiting(scene, page))
        rate = page.evaluate("() => engine.sampleRate")
        lags = lags_ms(recorded(page, 0), recorded(page, 1), rate)
        settled = [lag for at, lag in lags if at >= SETTLED_S]
        state, counters = status(page), scene.pipeline.client.ledger().nodes["singer"].counters
        print(f"frames of {options.frame_ms:g} ms; first sound {first_s:.2f} s after the click; {settling(lags)}")
        print(f"round trip from {SETTLED_S:.0f} s on: {percentiles(settled)}")
        print(f"of the median: {shares(waits[1:], float(np.median(settled)))}")
        print(
            f"underruns: graph {counters['underruns']}, page {state['underruns']}, device {state['output_underruns']}"
        )
        print(f"own voice by the local monitor: {state['monitor_ms']:.0f} ms of output, as the browser states it")


if __name__ == "__main__":
    main()
