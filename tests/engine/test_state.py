from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audio_pipeline.graph.plan import make_plan
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.metrics import Board, Reading
from audio_pipeline.refs import InputKey, PortRef
from audio_pipeline.supervisor.board_readings import Boards
from audio_pipeline.supervisor.state import busy_share, levels_db, link_ledger, node_ledger, path_descriptions
from tests.engine.graphs import graph_of
from tests.plain_state import link_map

LINK = LinkPlan(PortRef("song", "out"), InputKey("mix", "dry"), "drop_oldest", 100.0, 4, 10, "song", 11.0)
OUT, IN = "out.out>mix.dry.", "in.song.out>dry."


@pytest.fixture
def boards(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


class Maker:
    """Boards of processes that counted something."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, 0

    def path(self, **counters: int) -> Path:
        self._made += 1
        path = self._folder / f"board{self._made}"
        board = Board(path)
        for name, value in counters.items():
            board.put(name, value)
        board.close()
        return path

    def node(self, *lives: Mapping[str, int]) -> Boards:
        """All lives but the last have ended."""
        *dead, last = [self.path(**life) for life in lives]
        return Boards([Reading(path) for path in dead], Reading(last))


def out(offered: int, sent: int, in_flight: int = 0, queued: int = 0, **dropped: int) -> dict[str, int]:
    counts = {"offered": offered, "sent": sent, "in_flight": in_flight, "queued": queued}
    return {OUT + name: value for name, value in counts.items()} | {
        f"{OUT}dropped.{name}": value for name, value in dropped.items()
    }


def taken(delivered: int, **dropped: int) -> dict[str, int]:
    received = delivered + sum(dropped.values())
    names = {f"{IN}dropped.{name}": value for name, value in dropped.items()}
    return {IN + "received": received, IN + "delivered": delivered, **names}


def link_state(link: LinkPlan, boards: Mapping[str, Boards]) -> dict[str, object]:
    return link_map(link_ledger(link, boards))


def balanced(state: dict[str, object]) -> bool:
    """The sentence that the ledger is about."""
    dropped: dict[str, int] = state["dropped"]  # type: ignore[assignment]
    accounted = state["delivered"] + sum(dropped.values()) + state["queued"] + state["in_flight"]  # type: ignore[operator]
    return bool(state["balanced"]) and state["offered"] == accounted


def test_a_healthy_link_balances(boards: Maker) -> None:
    song, mix = boards.node(out(100, 95, in_flight=3, queued=2, oldest=3)), boards.node(taken(90, stale=2))
    state = link_state(LINK, {"song": song, "mix": mix})
    assert (state["from"], state["to"], state["policy"], state["window"]) == ("song.out", "mix.dry", "drop_oldest", 4)
    assert state["dropped"] == {"oldest": 3, "stale": 2}
    assert (state["offered"], state["delivered"], state["queued"], state["in_flight"]) == (100, 90, 2, 3)
    assert balanced(state)


def test_what_went_down_with_a_consumer_is_lost_by_name(boards: Maker) -> None:
    """It took 50 and died with 3 under way; its successor is at work, with 1 under way."""
    song = boards.node(out(100, 99, in_flight=1, queued=1))
    mix = boards.node(taken(50), taken(45))
    state = link_state(LINK, {"song": song, "mix": mix})
    assert state["dropped"] == {"peer_died": 3} and state["in_flight"] == 1 and balanced(state)


def test_what_went_down_with_a_producer_is_lost_by_name(boards: Maker) -> None:
    song = boards.node(out(100, 97, in_flight=2, queued=3), out(40, 40, in_flight=1))
    mix = boards.node(taken(95 + 39))
    state = link_state(LINK, {"song": song, "mix": mix})
    assert state["dropped"] == {"peer_died": 5} and balanced(state)


def test_a_link_that_nobody_used_yet_balances(boards: Maker) -> None:
    state = link_state(LINK, {"song": Boards(), "mix": Boards()})
    assert balanced(state) and state["age_ms"] == {"p50": 0.0, "p99": 0.0, "max": 0.0}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.tuples(*[st.integers(0, 50)] * 4), min_size=1, max_size=3), st.lists(st.integers(0, 4), max_size=3))
def test_the_ledger_balances_through_any_lives(
    boards: Maker, lives: list[tuple[int, int, int, int]], deaths: list[int]
) -> None:
    """Each life of the producer: delivered, dropped here, dropped there, queued, and what was under way."""
    flying = (deaths + [0] * len(lives))[: len(lives)]
    song = boards.node(
        *(
            out(d + a + b + q + f, d + b + f, in_flight=f, queued=q, oldest=a)
            for (d, a, b, q), f in zip(lives, flying, strict=True)
        )
    )
    mix = boards.node(taken(sum(d for d, *_ in lives), stale=sum(b for _, _, b, _ in lives)))
    state = link_state(LINK, {"song": song, "mix": mix})
    assert balanced(state)
    lost = sum(q + f for (_, _, _, q), f in list(zip(lives, flying, strict=True))[:-1])
    assert state["dropped"].get("peer_died", 0) == lost
    assert (state["queued"], state["in_flight"]) == (lives[-1][3], flying[-1])


@pytest.mark.parametrize(("offered", "wrong"), [(80, "more came than was sent"), (200, "frames are nowhere")])
def test_a_ledger_that_does_not_balance_says_so(boards: Maker, offered: int, wrong: str) -> None:
    state = link_state(LINK, {"song": boards.node(out(offered, offered)), "mix": boards.node(taken(90))})
    assert not state["balanced"], wrong


def test_ages_are_those_of_all_lives(boards: Maker, tmp_path: Path) -> None:
    paths = []
    for number, age_ms in enumerate((4.0, 40.0)):
        board = Board(tmp_path / f"age{number}")
        for _ in range(100):
            board.observe_ms("age.dry", age_ms)
        board.close()
        paths.append(tmp_path / f"age{number}")
    state = link_state(
        LINK, {"song": boards.node(out(200, 200)), "mix": Boards([Reading(paths[0])], Reading(paths[1]))}
    )
    assert sum(state["age_histogram"]["counts"]) == 200 and state["age_ms"]["max"] == 40.0
    assert 3 <= state["age_ms"]["p50"] <= 5 and 30 <= state["age_ms"]["p99"] <= 40


def test_counters_add_up_over_lives_and_gauges_are_the_newest(boards: Maker, tmp_path: Path) -> None:
    last = Board(tmp_path / "last")
    last.add("count.xruns", 2)
    last.gauge("gauge.hop", 8.0)
    last.gauge("level.out.peak_db", -3.0)
    last.gauge("level.out.rms_db", -14.0)
    last.put("busy_ns", 300)
    last.close()
    node = Boards([Reading(boards.path(**{"count.xruns": 5, "count.late": 1}))], Reading(tmp_path / "last"))
    ledger = node_ledger(node)
    assert ledger.counters == {"xruns": 7, "late": 1} and ledger.gauges == {"hop": 8.0}
    assert levels_db(node, ["out", "silent"]) == {"out": (-3.0, -14.0)} and busy_share(node, 1000) == 0.3


def test_a_node_without_a_board_has_nothing_to_show() -> None:
    ledger = node_ledger(Boards())
    assert levels_db(Boards(), ["out"]) == ledger.counters == ledger.gauges == {} and busy_share(Boards(), 0) == 0.0
    assert ledger.wait is ledger.work is ledger.worst_step_ms is None


def test_the_latency_table_is_that_of_the_plan() -> None:
    plan = make_plan(graph_of("song: {kind: noise}\nlate: {kind: delay, hop: 480, in: song}"))
    (path,) = path_descriptions(plan)
    assert path.path == ("song", "late") and path.total_ms == sum(path.terms_ms.values()) == plan.paths[0].total_ms
