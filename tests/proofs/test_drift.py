"""Two sound cards for a day: what lies between them neither runs over nor dry, and loses and doubles nothing.

Virtual time. The day is run on the schedule alone (the bridge's own code, with a reader that holds no sound); after
it the same cards go on with a tone. Cards jitter as real ones do: `tests.proofs.drifting`.
"""

from __future__ import annotations

import numpy as np
import pytest

from audio_pipeline.clock import ClockLine
from audio_pipeline.dsp.drift_bridge import DriftBridge
from tests.dsp.drift_buffer import DriftBuffer
from tests.proofs.drifting import BLOCK, NOTHING, RATE, START_NS, Card, Counted, Noted, Ppm, residual_db, sine, thd_n_db

pytestmark = [pytest.mark.proof, pytest.mark.timeout(0)]

DAY_S = 24 * 3600.0
SETTLED_S = 60.0
QUIET_S = 200.0  # by then the loop lets little jitter through
SOUND_S = 20.0
HZ = 997.0
TARGET = 2 * BLOCK + BLOCK // 2  # of the buffer: a block on its way, one in use, and 5 ms for the jitter


def steady(ppm: float) -> Ppm:
    return lambda t: ppm


def ramp() -> Ppm:
    """From -200 to +200 ppm within the day, and a room's heating: 5 ppm up and down every half an hour."""
    return lambda t: -200 + 400 * t / DAY_S + 5 * np.sin(2 * np.pi * t / 1800)


class Through:
    """Card A's samples through a bridge to card B."""

    def __init__(self, ppm: Ppm, reader: Noted, *, sound: bool = False) -> None:
        self.a, self.b = Card(ppm, 1), Card(steady(0.0), 2)
        self.bridge = DriftBridge(1, RATE, BLOCK, reader)
        self.sound, self.out = sound, list[np.ndarray]()
        self.worst = 0.0
        self.fill = [1e9, -1e9]

    def place_of(self, position: float) -> float:
        return self.a.line.position_at(self.b.line.host_ns_at(position))

    def out_of(self, place: float) -> float:
        return self.b.line.position_at(self.a.line.host_ns_at(place))

    def run(self, seconds: float) -> None:
        end_ns = self.a.time_ns + seconds * 1e9
        while self.a.time_ns < end_ns:
            at = self.a.position
            now_ns = self.a.step()
            while self.b.time_ns < now_ns:
                self.b.step()
            self.bridge.write(at, sine(at, BLOCK, HZ) if self.sound else NOTHING[:BLOCK], self.out_of)
            self.out += [block.data for block in self.bridge.take(self.place_of, self.out_of)]
            if not self.sound:
                self.out.clear()
            if self.a.time_ns - START_NS > SETTLED_S * 1e9:
                self._judge()

    def _judge(self) -> None:
        """By the truth, which the bridge does not know."""
        assert self.bridge.position is not None
        wanted = self.a.true_position(self.b.true_ns(self.bridge.position))
        self.worst = max(self.worst, abs(wanted - self.bridge.control.place))
        self.fill = [min(self.fill[0], self.bridge.fill_samples), max(self.fill[1], self.bridge.fill_samples)]


def check_ledger(reader: Noted, pushed: int, fill: float) -> None:
    """Every span began where the last one ended, and what went in is what was read and what is still here."""
    ledger = reader.ledger
    assert ledger.broken == ledger.backwards == reader.concealed_samples == reader.late_samples == 0
    assert ledger.used == pytest.approx(ledger.span_samples, abs=1e-3), "the integral of the ratio is the way gone"
    assert ledger.began is not None
    assert ledger.began.at + ledger.began.frac + ledger.used + fill == pytest.approx(pushed, abs=1e-3)


@pytest.mark.parametrize("kind", ["+200 ppm", "-200 ppm", "ramp"])
def test_a_day_between_two_cards(kind: str, proof_scale: float) -> None:
    seconds = max(DAY_S * proof_scale, 4 * SETTLED_S)
    ppm = ramp() if kind == "ramp" else steady(float(kind.removesuffix(" ppm")))
    reader = Counted()
    through = Through(ppm, reader)
    through.run(seconds)
    bridge = through.bridge
    check_ledger(reader, through.a.position, bridge.fill_samples)
    out_s = reader.ledger.samples_out / RATE
    assert bridge.jumps == 0
    print(
        f"{kind}, {seconds / 3600:.2f} virtual hours: place within {through.worst:.1f} samples of the truth, "
        f"{through.fill[0]:.0f} to {through.fill[1]:.0f} samples inside, {bridge.ppm:+.2f} ppm found, "
        f"{through.a.position} in, {reader.ledger.samples_out} out, 0 jumps, 0 lost, 0 doubled"
    )
    assert through.worst < BLOCK / 10, "a tenth of a frame; the requirement is one frame"
    # from none to a block that the next 480 outputs just do not fit into, and what the output clock's lag adds
    assert 0 <= through.fill[0] and through.fill[1] <= 2 * BLOCK
    assert bridge.ppm == pytest.approx(ppm(seconds), abs=5)
    assert out_s == pytest.approx((through.b.time_ns - START_NS) / 1e9, abs=0.05)


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_the_sound_between_two_cards(ppm: float, proof_scale: float) -> None:
    """The tone at the places that the loop chose: -100 dB, the interpolation's own noise (Kaiser stop band).

    An analyser that knows nothing of the places also sees the pitch waver with what the loops let through of the
    cards' jitter: at 997 Hz a place that wanders by 0.02 samples (half a microsecond) is -51 dB, and under a
    thousandth of what can be heard as vibrato.
    """
    seconds = max(20 * SOUND_S * proof_scale, SOUND_S)
    reader = Noted()
    through = Through(steady(ppm), reader, sound=True)
    through.run(QUIET_S)
    through.out.clear()
    reader.ledger.keep = True
    through.run(seconds)
    y = np.concatenate(through.out)[:, 0].astype(np.float64)
    places = reader.ledger.places()
    check_ledger(reader, through.a.position, through.bridge.fill_samples)
    steps = np.diff(places)
    clean = residual_db(y, places, HZ)
    seen = [thd_n_db(y[k : k + RATE], HZ * (1 + ppm * 1e-6)) for k in range(0, len(y) - RATE + 1, RATE)]
    print(
        f"{ppm:+.0f} ppm, {seconds:.0f} s of a 997 Hz tone: noise at the chosen places {clean:.1f} dB, THD+N of each "
        f"second as an analyser sees it {np.median(seen):.1f} dB (median), {max(seen):.1f} dB (worst); steps from "
        f"{(steps.min() - 1) * 1e6:+.0f} to {(steps.max() - 1) * 1e6:+.0f} ppm"
    )
    assert clean < -100
    assert np.median(seen) < -55 and max(seen) < -45
    assert np.abs(steps - 1 - ppm * 1e-6).max() < 2e-6, "a three hundredth of a cent"


@pytest.mark.parametrize("ppm", [200.0, -200.0])
def test_a_day_in_a_buffer_with_a_target(ppm: float, proof_scale: float) -> None:
    """The same for what is pulled, as at the end of a link between hosts."""
    seconds = max(DAY_S * proof_scale / 4, 4 * SETTLED_S)
    reader = Counted()
    buffer = DriftBuffer(1, RATE, TARGET, reader=reader)
    a, b = Card(steady(ppm), 3), Card(steady(0.0), 4)
    arrival_ns, worst, fills = a.step(), 0.0, [1e9, -1e9]
    while b.time_ns < START_NS + seconds * 1e9:
        now_ns = b.step()
        while arrival_ns <= now_ns:
            buffer.push(NOTHING[:BLOCK], round(a.time_ns))
            arrival_ns = a.step()
        buffer.pull(BLOCK, ClockLine.host_ns_at(b.line, b.position))
        if b.time_ns > START_NS + SETTLED_S * 1e9:
            truth = a.true_position(b.time_ns) - buffer.control.place
            worst = max(worst, abs(truth - TARGET))
            fills = [min(fills[0], buffer.fill_samples), max(fills[1], buffer.fill_samples)]
    print(
        f"{ppm:+.0f} ppm, {seconds / 3600:.2f} virtual hours, pulled: buffer within {worst:.1f} samples of its "
        f"target of {TARGET}, level {fills[0]:.0f} to {fills[1]:.0f}, {buffer.ppm:+.2f} ppm found, "
        f"{buffer.underruns} underruns"
    )
    assert reader.ledger.broken == reader.ledger.backwards == buffer.concealed_samples == 0
    assert worst < BLOCK, "one frame"
    assert buffer.ppm == pytest.approx(ppm, abs=5)
