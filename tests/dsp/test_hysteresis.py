from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.dsp.hysteresis import Edge, Gate, Hysteresis
from audio_pipeline.errors import ConfigError
from tests.dsp.chunking import SIZES, chunks

HOP = 100


def edges_of(probabilities: list[float], detector: Hysteresis, start: int = 0) -> list[tuple[int, bool]]:
    out = [e for i, p in enumerate(probabilities) for e in detector.push(start + i * HOP, HOP, p)]
    return [tuple(e) for e in out + detector.flush()]


def detector(min_on: int = 0, min_off: int = 0, pad: int = 0) -> Hysteresis:
    return Hysteresis(0.6, 0.4, min_on, min_off, pad)


def test_edges_lie_where_the_thresholds_are_crossed() -> None:
    assert edges_of([0.1, 0.5, 0.7, 0.5, 0.3, 0.1], detector()) == [(200, True), (400, False)]


def test_between_the_thresholds_nothing_changes() -> None:
    assert edges_of([0.5] * 5, detector()) == []
    assert edges_of([0.7, 0.5, 0.5, 0.5], detector()) == [(0, True), (400, False)]


def test_short_bursts_are_ignored() -> None:
    assert edges_of([0, 0.9, 0.9, 0, 0], detector(min_on=300)) == []
    assert edges_of([0, 0.9, 0.9, 0.5, 0], detector(min_on=300)) == [(100, True), (400, False)]


def test_short_pauses_are_bridged() -> None:
    p = [0.9, 0, 0, 0.9, 0, 0, 0, 0.9]
    assert edges_of(p, detector(min_off=300)) == [(0, True), (400, False), (700, True), (800, False)]


def test_pad_reaches_out_but_not_over_the_neighbour() -> None:
    p = [0, 0, 0.9, 0, 0, 0.9, 0, 0, 0]
    touching = [(50, True), (450, False), (450, True), (750, False)]
    assert edges_of(p, detector(min_off=200, pad=150)) == touching
    assert edges_of([0.9, 0], detector(min_off=200, pad=150), start=1000) == [(1000, True), (1200, False)]


def test_edges_are_reported_within_the_latency() -> None:
    d = detector(min_on=300, min_off=500, pad=200)
    for i, p in enumerate([0] * 5 + [0.9] * 10 + [0] * 10):
        for edge in d.push(i * HOP, HOP, p):
            assert (i + 1) * HOP - edge.position <= d.latency_samples + HOP


def test_jump_ends_the_segment_where_the_audio_ended() -> None:
    d = detector(min_off=500, pad=100)
    assert d.push(0, HOP, 0.9) == [Edge(0, True)]
    assert d.push(5000, HOP, 0.9) == [Edge(100, False), Edge(5000, True)]


def test_one_window_of_any_length_is_as_many_short_ones() -> None:
    fine, coarse = detector(min_on=300, min_off=200), detector(min_on=300, min_off=200)
    p = [0.0] * 4 + [0.9] * 8 + [0.1] * 8
    a = [e for i, q in enumerate(p) for e in fine.push(i * 100, 100, q)]
    b = [e for i, q in enumerate(p[::4]) for e in coarse.push(i * 400, 400, q)]
    assert a == b == [Edge(400, True), Edge(1200, False)]


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_edges_alternate_and_rise(p: list[float], min_on: int, min_off: int, pad: int) -> None:
    edges = edges_of(p, detector(min_on, min_off, min(pad, min_off)))
    assert [on for _, on in edges] == [True, False] * (len(edges) // 2)
    positions = [position for position, _ in edges]
    assert positions == sorted(positions)
    assert all(0 <= position <= len(p) * HOP for position in positions)


@pytest.mark.parametrize("bad", [(0.4, 0.6, 0, 0, 0), (1.1, 0.5, 0, 0, 0), (0.6, 0.4, -1, 0, 0), (0.6, 0.4, 0, 10, 11)])
def test_refusals(bad: tuple[float, float, int, int, int]) -> None:
    with pytest.raises(ConfigError, match="hysteresis needs"):
        Hysteresis(*bad)


def gains(edges: list[Edge], n: int, size: int, hold: int = 0) -> np.ndarray:
    gate = Gate(50, hold, 100)
    for edge in edges:
        gate.edge(edge)
    return np.concatenate([gate.process(at, b) for at, b in chunks(np.ones((n, 1), np.float32), size)])[:, 0]


def test_gate_opens_and_closes_at_the_edges() -> None:
    g = gains([Edge(1000, True), Edge(2000, False)], 3000, 480)
    assert not g[:1000].any() and (g[1049:2000] == 1).all() and not g[2099:].any()
    np.testing.assert_allclose(g[1000:1050], np.arange(1, 51) / 50, atol=1e-6)
    np.testing.assert_allclose(g[2000:2100], 1 - np.arange(1, 101) / 100, atol=1e-6)


def test_gate_holds_and_a_new_start_within_the_hold_keeps_it_open() -> None:
    assert gains([Edge(0, True), Edge(500, False)], 1500, 100, hold=300)[799] == 1
    g = gains([Edge(0, True), Edge(500, False), Edge(700, True)], 1500, 100, hold=300)
    assert (g[50:] == 1).all()


def test_gate_turns_round_midway_without_a_jump() -> None:
    g = gains([Edge(0, True), Edge(20, False), Edge(40, True)], 200, 7)
    assert np.abs(np.diff(g)).max() <= 1 / 50 + 1e-6 and g[-1] == 1


def test_late_edge_acts_at_once() -> None:
    gate = Gate(10, 0, 10)
    gate.process(0, np.ones((500, 1), np.float32))
    gate.edge(Edge(100, True))
    y = gate.process(500, np.ones((20, 1), np.float32))
    assert y[0, 0] == pytest.approx(0.1) and y[9, 0] == 1 and gate.pending == 0


@pytest.mark.parametrize("size", SIZES)
def test_gate_streamed_is_one_shot(size: int) -> None:
    edges = [Edge(p, i % 2 == 0) for i, p in enumerate([10, 33, 60, 2500, 2590, 2900])]
    np.testing.assert_array_equal(gains(edges, 4000, size, hold=13), gains(edges, 4000, 1 << 30, hold=13))


def test_gate_refuses_negative_times() -> None:
    with pytest.raises(ConfigError, match="release -1"):
        Gate(0, 0, -1)
