"""Admission by reservation: never more than there is, however many come at once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.service.budget import Budget, Cost, ShortageError

CAPACITY = Cost(1.4, 2_000.0)
ESTIMATES = {"karaoke": Cost(0.57, 150.0), "stems": Cost(0.31, 700.0), "speech": Cost(0.1, 90.0)}
ARRIVALS = 10_000


def fits(budget: Budget) -> bool:
    return budget.reserved.cores <= CAPACITY.cores + 1e-6 and budget.reserved.mb <= CAPACITY.mb + 1e-6


def test_ten_thousand_arrivals_at_random_never_reserve_more_than_there_is() -> None:
    rng, budget, inside, refused = random.Random(13), Budget(CAPACITY), [], 0
    for number in range(ARRIVALS):
        config = rng.choice(list(ESTIMATES))
        try:
            budget.reserve(str(number), config, ESTIMATES[config])
            inside.append(str(number))
        except ShortageError as shortage:
            refused += 1
            assert shortage.need > shortage.free
        assert fits(budget)
        while inside and rng.random() < 0.45:
            budget.release(inside.pop(rng.randrange(len(inside))))
    assert refused > ARRIVALS / 10 and len(inside) < ARRIVALS


@given(st.lists(st.tuples(st.sampled_from(sorted(ESTIMATES)), st.integers(0, 9), st.booleans()), max_size=300))
def test_any_order_of_arrivals_and_departures_keeps_within_bounds(moves: list[tuple[str, int, bool]]) -> None:
    budget = Budget(CAPACITY)
    for config, number, comes in moves:
        if comes:
            try:
                budget.reserve(str(number), config, ESTIMATES[config])
            except ShortageError:
                pass
        else:
            budget.release(str(number))
        assert fits(budget)


def test_a_slot_that_is_released_twice_is_free_once() -> None:
    budget = Budget(Cost(1.0, 100.0))
    budget.reserve("a", "karaoke", Cost(0.6, 10.0))
    budget.release("a")
    budget.reserve("b", "karaoke", Cost(0.6, 10.0))
    budget.release("a")
    with pytest.raises(ShortageError):
        budget.reserve("c", "karaoke", Cost(0.6, 10.0))


def test_a_refusal_says_what_is_short() -> None:
    budget = Budget(Cost(1.0, 100.0))
    with pytest.raises(ShortageError, match="needs 200 MB of memory, 100 MB are free") as caught:
        budget.reserve("a", "karaoke", Cost(0.5, 200.0))
    assert (caught.value.what, caught.value.need, caught.value.free) == ("memory", 200.0, 100.0)
    assert budget.refused == {"memory": 1}


def test_what_was_measured_takes_the_place_of_the_estimate() -> None:
    budget = Budget(Cost(1.0, 1_000.0))
    budget.reserve("a", "karaoke", Cost(0.6, 100.0))
    budget.note("a", Cost(0.3, 150.0))
    budget.note("a", Cost(0.2, 120.0))  # a quiet moment is no promise
    assert budget.reservation("a") == Cost(0.3, 150.0)
    assert budget.reserve("b", "karaoke", Cost(0.6, 100.0)) == Cost(0.3, 150.0)
    budget.note("nobody", Cost(9.0, 9.0))
    assert budget.measured == {"karaoke": Cost(0.3, 150.0)}


def test_a_session_that_runs_already_is_counted_even_where_there_is_not_enough() -> None:
    budget = Budget(Cost(0.5, 100.0))
    budget.adopt("a", "karaoke", Cost(0.6, 10.0))
    with pytest.raises(ShortageError, match="0 cores are free"):
        budget.reserve("b", "karaoke", Cost(0.1, 10.0))


def test_a_release_says_whether_there_was_anything_to_give_back() -> None:
    budget = Budget(CAPACITY)
    budget.reserve("a", "speech", ESTIMATES["speech"])
    assert [budget.release("a"), budget.release("a")] == [True, False]
