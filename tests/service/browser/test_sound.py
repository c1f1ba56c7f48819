"""Sound between a pipeline and a real browser, through the media process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from tests.service.browser.lags import lags_ms
from tests.service.browser.stage import CHROMIUM, Stage, await_playing, begin, recorded, stage, status

pytestmark = [pytest.mark.live, pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium")]

OLDEST_MS = 150.0  # of what is heard after a stall


@pytest.fixture(scope="module")
def scene() -> Iterator[Stage]:
    """A tone of 440 Hz, and a node that waits for a singer."""
    with stage(song_db=-6.0) as opened:
        yield opened


def tone_to_rest_db(x: NDArray[np.float32], rate: int, hz: float = 440.0) -> float:
    """Power within 5 Hz of the tone beside all other."""
    power = np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(x), 1 / rate) - hz) < 5
    return float(10 * np.log10(power[near].sum() / power[~near].sum()))


def ages_ms(page: Page, since_ms: float = 0.0) -> NDArray[np.float64]:
    """How much later than at its best a position was played, report by report of the audio thread since `watch()`."""
    reports = page.evaluate("() => reports.filter(({ place }) => place !== null)")
    wall_ms = np.array([report["wallMs"] for report in reports])
    late_ms = wall_ms - np.array([report["place"] / report["rate"] * 1e3 for report in reports])
    ages: NDArray[np.float64] = (late_ms - late_ms.min())[wall_ms >= since_ms]
    return ages


def test_a_tone_of_the_pipeline_is_heard_clean(scene: Stage) -> None:
    with scene.page() as page:
        began = time.monotonic()
        begin(page)
        await_playing(page)
        assert time.monotonic() - began < 2.0
        page.wait_for_timeout(3_500)
        page.evaluate("() => record(2)")
        page.wait_for_timeout(2_200)
        rate = page.evaluate("() => engine.sampleRate")
        heard = recorded(page, 1)
        assert len(heard) >= 1.5 * rate
        # one gap of a quantum, or one click, leaves 25 dB; what is left is the wander of the drift loop
        assert tone_to_rest_db(heard[-rate:], rate) > 50
        assert 0.08 < float(np.abs(heard[-rate:]).max()) < 0.18


def test_a_singer_comes_back_in_the_mix(scene: Stage) -> None:
    with scene.page() as page:
        begin(page, feed="singer")
        await_playing(page)
        page.evaluate("() => record(6)")
        assert page.evaluate("() => openMic()") == []
        page.wait_for_timeout(6_200)
        rate = page.evaluate("() => engine.sampleRate")
        lags = lags_ms(recorded(page, 0), recorded(page, 1), rate)
        assert len(lags) >= 6
        assert np.median([lag for at, lag in lags if at > 3]) < 120  # how much less: benchmarks/service_browser.py
        assert status(page)["mic"]["state"] == "open"
        counters = scene.pipeline.client.ledger().nodes["singer"].counters
        assert counters.get("bad", 0) == 0 and counters["lost_samples"] == 0


def test_a_page_that_blocks_disturbs_no_sound(scene: Stage) -> None:
    with scene.page() as page:
        begin(page)
        await_playing(page)
        page.evaluate("() => { setInterval(() => block(150), 400) }")
        page.wait_for_timeout(5_000)
        before = status(page)
        page.wait_for_timeout(12_000)
        after = status(page)
        assert after["underruns"] == before["underruns"]
        assert after["output_underruns"] == before["output_underruns"]
        assert after["position"] - before["position"] > 11 * after["rate"]


def test_after_three_seconds_of_stall_nothing_old_is_heard(scene: Stage) -> None:
    with scene.page() as page:
        begin(page)
        await_playing(page)
        page.wait_for_timeout(3_000)
        page.evaluate("() => watch()")
        page.wait_for_timeout(1_000)
        browser = page.context.browser
        assert browser is not None
        processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        pids = [process["id"] for process in processes if process["type"] == "renderer"]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        resumed_ms = time.time() * 1e3
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        page.wait_for_timeout(3_000)
        ages = ages_ms(page, resumed_ms)
        assert len(ages) > 20 and ages.max() < OLDEST_MS
        assert status(page)["state"] == "playing"


NO_TIMERS = "setTimeout = setInterval = requestAnimationFrame = () => 0"


def test_sound_needs_no_timers_of_the_page(scene: Stage) -> None:
    """As in a page that is hidden, where they fire once a minute; a browser without a screen hides no page."""
    with scene.page() as page:
        page.evaluate(f"() => {{ {NO_TIMERS} }}")
        begin(page, feed="singer")
        page.wait_for_timeout(3_500)
        before = status(page)
        page.wait_for_timeout(5_000)
        after = status(page)
        assert before["state"] == after["state"] == "playing"
        assert after["position"] - before["position"] > 4.5 * after["rate"]
        assert scene.gauges("singer")["connected"] == 1.0


def test_a_reload_plays_on_at_the_live_edge(scene: Stage) -> None:
    with scene.page() as page:
        begin(page, feed="singer")
        await_playing(page)
        position = status(page)["position"]
        page.reload()
        page.wait_for_function("() => window.makeEngine")
        began = time.monotonic()
        begin(page, feed="singer")
        await_playing(page)
        assert time.monotonic() - began < 2.0
        page.wait_for_timeout(1_500)
        assert status(page)["position"] > position
        assert scene.gauges("singer")["connected"] == 1.0
        assert status(page)["error"] == ""


def test_sound_needs_a_click_and_a_click_is_enough(scene: Stage) -> None:
    with scene.page("/?start", autoplay=False) as page:
        page.wait_for_function("() => engine.status.value.rate > 0 || engine.status.value.state === 'suspended'")
        page.wait_for_timeout(500)
        assert status(page)["state"] == "suspended"
        page.click("#start")
        await_playing(page)


def test_positions_go_up_evenly(scene: Stage) -> None:
    """What is played follows the wall clock within what a drift loop may bend, and a leap of an unlucky moment."""
    with scene.page() as page:
        begin(page)
        await_playing(page)
        page.wait_for_timeout(3_500)
        page.evaluate("() => watch()")
        page.wait_for_timeout(4_000)
        ages = ages_ms(page)
        assert len(ages) > 30
        assert np.median(np.abs(np.diff(ages))) < 12  # a browser's audio thread works in bursts of 10 ms
