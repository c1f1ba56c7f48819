"""Places are granted by what an inference takes: the sum is known before anybody is late."""

from __future__ import annotations

import pytest

from audio_pipeline.models.separation import tuning
from audio_pipeline.models.separation.catalogue import DEEPFILTERNET, SPLEETER_2STEMS
from audio_pipeline.models.separation.tuning import Timing
from audio_pipeline.serving.capacity import ENOUGH, MOST_SHARE, Load, grant, refined

SPLEETER_ON_TWO_CORES = Timing(usual_s=0.06, slow_s=0.08, fastest_s=0.05, frame_s=0.0005)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "cores", lambda: 2)


def hops(count: int, **wishes: int) -> list[int]:
    """Hops that so many streams get one after the other, until one is refused."""
    loads: list[Load] = []
    for _ in range(count):
        load = grant(SPLEETER_2STEMS, SPLEETER_ON_TWO_CORES, loads, **wishes)
        if load is None:
            break
        loads.append(load)
    assert sum(load.share for load in loads) <= MOST_SHARE
    return [load.hop for load in loads]


def test_those_who_come_later_get_a_longer_hop_and_then_none() -> None:
    assert hops(9) == [8, 16, 32, 32]


def test_a_hop_of_the_file_is_kept_or_refused() -> None:
    assert hops(9, hop=16) == [16] * 4
    assert grant(SPLEETER_2STEMS, SPLEETER_ON_TWO_CORES, [], hop=1) == Load(1, pytest.approx(3.25, abs=0.01))


def test_a_restarted_stream_gets_the_hop_it_had_where_that_fits() -> None:
    assert hops(1, prefer=16) == [16]
    load = grant(SPLEETER_2STEMS, SPLEETER_ON_TWO_CORES, [Load(8, 0.5)], prefer=16)
    assert load is not None and load.hop == 32


def test_alone_a_slow_machine_gets_the_longest_hop() -> None:
    slow = SPLEETER_ON_TWO_CORES._replace(usual_s=5.0)
    load = grant(SPLEETER_2STEMS, slow, [])
    assert load is not None and load.hop == 32
    assert grant(SPLEETER_2STEMS, slow, [load]) is None


def test_a_batch_costs_the_others_nothing() -> None:
    loads = [grant(SPLEETER_2STEMS, SPLEETER_ON_TWO_CORES, [Load(8, 0.5)] * 7, together=True)]
    assert loads[0] is not None and loads[0].hop == 8


def test_a_stateful_model_has_one_hop() -> None:
    load = grant(DEEPFILTERNET, Timing(0.002, 0.003, 0.002, 0.0001), [])
    assert load is not None and load.hop == 1


def test_inferences_since_then_count_for_more_than_a_busy_warm_up() -> None:
    busy = SPLEETER_ON_TWO_CORES._replace(usual_s=0.3)
    assert refined(busy, [0.06] * (ENOUGH - 1)) == busy
    assert refined(busy, [0.06] * ENOUGH) == SPLEETER_ON_TWO_CORES
    assert refined(SPLEETER_ON_TWO_CORES, [0.5] * ENOUGH) == SPLEETER_ON_TWO_CORES


def test_beside_others_a_hop_whose_network_is_loaded_comes_first() -> None:
    first = grant(SPLEETER_2STEMS, SPLEETER_ON_TWO_CORES, [], loaded=[32])
    assert first is not None and first.hop == 8  # alone the smallest
    second = grant(SPLEETER_2STEMS, SPLEETER_ON_TWO_CORES, [first], loaded=[8])
    assert second is not None and second.hop == 8
    third = grant(SPLEETER_2STEMS, SPLEETER_ON_TWO_CORES, [first, second], loaded=[8])
    assert third is None
