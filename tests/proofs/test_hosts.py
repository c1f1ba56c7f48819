"""Another host listens through a network that jitters, stalls, breaks and hangs: what is heard, and what it costs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import soundfile as sf
import zmq

from audio_pipeline.errors import ControlError
from tests.plain_state import plain_state
from tests.proofs.hosts import LAPTOP, Gap, gaps, studio_yaml, worst_step, write_tone
from tests.proofs.live import Pipeline, State, running
from tests.relay import Relay

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]
DELAY_S, JITTER_S = 0.020, 0.010
STALL_S, CUT_S = 1.0, 2.0
SILENT_S = 3.0  # after which a connection that says nothing is given up
AGAIN_S = 2.5  # to connect again: waits between tries of up to 2 s, and a handshake
CLICK = 1.6  # fades of 5 ms, one over the other at worst


def there(laptop: Pipeline) -> State:
    node: State = laptop.state()["nodes"]["there"]
    return node


def connected(laptop: Pipeline, reconnects: int) -> None:
    laptop.until(
        "it is connected again",
        lambda s: (
            s["nodes"]["there"]["gauges"].get("connected") == 1
            and s["nodes"]["there"]["counters"].get("reconnects", 0) >= reconnects
        ),
        30,
    )


@dataclass
class Heard:
    """What the studio and the listener were in before the faults and after them."""

    calm: State
    end: State
    studio_before: State
    studio_after: State
    handles_before: list[int]
    handles_after: list[int]
    balanced: list[bool]
    log: list[str]


def handles(*pids: int) -> list[int]:
    """Open files and threads of processes."""
    processes = [psutil.Process(pid) for pid in pids]
    return [amount for process in processes for amount in (process.num_fds(), process.num_threads())]


def listen(studio: Pipeline, laptop: Pipeline, relay: Relay, scale: float) -> Heard:
    """A calm while, then one fault after the other."""
    connected(laptop, 0)
    laptop.play(max(60 * scale, 6))
    calm, before = there(laptop), studio.state()
    pids = laptop.state()["nodes"]["there"]["pid"], before["nodes"]["gateway"]["pid"]
    handles_before = handles(*pids)
    relay.stalled = True
    time.sleep(STALL_S)
    relay.stalled = False
    laptop.play(max(20 * scale, 3))
    relay.cut()
    time.sleep(CUT_S)
    relay.reopen()
    connected(laptop, 1)
    laptop.play(max(20 * scale, 3))
    relay.vanish()
    connected(laptop, 2)
    laptop.play(max(20 * scale, 6))
    handles_after, end = handles(*pids), there(laptop)
    final = laptop.finish()
    after = studio.state()
    balanced = [link["balanced"] for link in (*final["links"], *after["links"], *after["taps"])]
    return Heard(calm, end, before, after, handles_before, handles_after, balanced, final["log"])


def test_another_host_hears_through_a_network_that_fails(
    private: Path, tmp_path: Path, keys: None, proof_scale: float
) -> None:
    """It hears each fault once, for about as long as it lasted; the studio hears nothing of it, and nothing leaks."""
    (tmp_path / "studio.yaml").write_text(studio_yaml(write_tone(tmp_path / "tone.wav"), "tcp://127.0.0.1:0"))
    with running(tmp_path / "studio.yaml", tmp_path / "studio") as studio:
        opened = studio.until("the gateway is open", lambda s: s["nodes"]["gateway"]["gauges"].get("port"))
        relay = Relay(int(opened["nodes"]["gateway"]["gauges"]["port"]), delay_s=DELAY_S, jitter_s=JITTER_S)
        (tmp_path / "laptop.yaml").write_text(LAPTOP.format(host=f"127.0.0.1:{relay.port}"))
        with running(tmp_path / "laptop.yaml", tmp_path / "laptop") as laptop:
            heard = listen(studio, laptop, relay, proof_scale)
        relay.close()
    assert not studio.leftovers() and not laptop.leftovers()
    sound, rate = sf.read(next((tmp_path / "laptop").glob("there*.wav")), dtype="float32", always_2d=True)
    _print(heard, gaps(sound))
    assert rate == 48_000 and worst_step(sound) < CLICK, f"steps of {worst_step(sound):.2f} times the tone's own"
    _check_gaps(gaps(sound))
    _check(heard)


def _check(heard: Heard) -> None:
    gauges, counters = heard.calm["gauges"], heard.calm["counters"]
    assert 20 <= gauges["target_ms"] <= 120 and counters["underruns"] <= 1
    assert DELAY_S * 1000 <= gauges["age_ms"] <= 250
    assert abs(gauges["offset_ms"]) <= gauges["round_trip_ms"] / 2, "both have the same clock"
    assert 2 <= heard.end["counters"]["reconnects"] <= 4 and heard.end["counters"]["outages"] >= 1, heard.log
    concealed = [
        state["nodes"]["speaker"]["counters"]["concealed_samples"]
        for state in (heard.studio_before, heard.studio_after)
    ]
    assert concealed[0] == concealed[1], "the studio heard nothing of it"
    assert all(heard.balanced)
    more = [after - before for before, after in zip(heard.handles_before, heard.handles_after, strict=True)]
    assert max(more) <= 2, f"{heard.handles_before} -> {heard.handles_after}"


def _check_gaps(found: list[Gap]) -> None:
    """Each fault is heard once, for as long as it lasted and as long as it takes to come back."""
    long = [gap for gap in found if gap.ms >= 500]
    assert len(long) == 3, found
    stall, cut, hang = long
    assert stall.ms <= STALL_S * 1000 + 300
    assert cut.ms <= (CUT_S + AGAIN_S) * 1000
    assert hang.ms <= (SILENT_S + AGAIN_S) * 1000
    assert sum(gap.ms for gap in found if gap.ms < 500) <= 1_000


def _print(heard: Heard, found: list[Gap]) -> None:
    gauges, counters, then = heard.calm["gauges"], heard.end["counters"], heard.end["gauges"]
    way = f"{DELAY_S * 1e3:.0f} ms +- {JITTER_S * 1e3:.0f} ms"
    print(
        f"\nhosts: way {way}: jitter {gauges['jitter_ms']:.1f} ms, buffer {gauges['buffer_ms']:.0f} of "
        f"{gauges['target_ms']:.0f} ms, delay {gauges['age_ms']:.0f} ms, clock offset "
        f"{gauges['offset_ms']:.2f} ms, dry {heard.calm['counters']['underruns']} times"
    )
    print(
        f"hosts: stall of {STALL_S:g} s, cut of {CUT_S:g} s, half-open: heard gaps of "
        + ", ".join(f"{gap.ms:.0f} ms" for gap in found)
        + f"; dry {counters['underruns']}, outages {counters['outages']}, reconnects {counters['reconnects']}, "
        f"then buffer {then['buffer_ms']:.0f} of {then['target_ms']:.0f} ms"
    )
    for tap in heard.studio_after["taps"]:
        print(
            f"hosts: ledger of {tap['from']} to other hosts: offered {tap['offered']} = delivered "
            f"{tap['delivered']} + dropped {tap['dropped']} + queued {tap['queued']} + under way "
            f"{tap['in_flight']}; balanced {tap['balanced']}"
        )
    print(
        f"hosts: open files and threads of listener and gateway: {heard.handles_before} before, "
        f"{heard.handles_after} after"
    )


def test_stolen_sockets_are_taken_back(private: Path, tmp_path: Path, keys: None) -> None:
    """Another process binds the paths of a playing graph: one sentence each, and all goes on as before."""
    (tmp_path / "studio.yaml").write_text(studio_yaml(write_tone(tmp_path / "tone.wav"), "tcp://127.0.0.1:0"))
    with running(tmp_path / "studio.yaml", tmp_path / "studio") as studio, zmq.Context() as context:
        folder = Path(studio.supervisor.run_dir.path)
        studio.play(2)
        thieves = [context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)]
        thieves[0].bind(f"ipc://{folder}/mix.out")
        studio.until(
            "the mixer is back",
            lambda s: s["nodes"]["mix"]["restarts"] == 1 and s["nodes"]["mix"]["state"] == "running",
        )
        thieves[1].bind(f"ipc://{folder}/control")
        taken_back = "was taken or removed; it is bound again"
        studio.until("it is said", lambda s: any(taken_back in line for line in s["log"]))
        newcomer = studio.supervisor.client()
        until_s = time.monotonic() + 10
        while time.monotonic() < until_s:
            try:
                state = plain_state(newcomer)
                break
            except ControlError:
                continue
        newcomer.close()
        said = [line for line in state["log"] if "has taken" in line or taken_back in line]
        print(f"\nhosts: stolen sockets: {[line.partition(' in /')[0] for line in said]}")
        assert len(said) == 2 and "mix.out" in said[0]
        before = studio.play(1)["nodes"]["speaker"]["counters"]["concealed_samples"]
        assert studio.play(2)["nodes"]["speaker"]["counters"]["concealed_samples"] == before
        for thief in thieves:  # which removes their files, and is noticed as well
            thief.close(linger=0)
