"""Events for programs that embed a pipeline: numbered, from the call on, with gaps that are visible, until the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from audio_pipeline.control.client import Client
from audio_pipeline.control.events import GraphEvent, LogEvent, NodeEvent
from audio_pipeline.run.events import MissedEvents, RunEvents
from audio_pipeline.supervisor.event_log import KEEP_EVENTS, EventLog
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.small_pipeline import small_pipeline

EDIT = {"op": "connect", "from": "song", "to": "mix.dry", "keys": {"on_loss": "hold"}}


class Ended:
    """A supervisor whose run is over."""

    def __init__(self, events: int) -> None:
        self.event_log = EventLog()
        for number in range(events):
            self.event_log.add(LogEvent(message=str(number)))

    def wait(self, timeout_s: float | None = None) -> bool:
        return True


def ended(run: RunEvents, events: int) -> None:
    run.begin(Ended(events), None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Supervisor]:
    with small_pipeline("events") as supervisor:
        yield supervisor


@pytest.fixture
def client(pipeline: Supervisor) -> Iterator[Client]:
    with pipeline.client() as made:
        yield made


@pytest.fixture
def run(pipeline: Supervisor, client: Client) -> Iterator[RunEvents]:
    """Not begun yet."""
    made = RunEvents()
    yield made
    made.finish()


def test_a_reader_from_before_the_start_misses_nothing(run: RunEvents, pipeline: Supervisor, client: Client) -> None:
    reader = run.reader(("media",))
    assert reader.get(0) is None
    run.begin(pipeline, client)
    event = next(reader)
    assert isinstance(event, NodeEvent) and event.node == "song" and "media_s" in event.data


def test_a_reader_gets_what_happens_from_its_call_on(run: RunEvents, pipeline: Supervisor, client: Client) -> None:
    run.begin(pipeline, client)
    first = run.reader(("graph",))
    client.edit([EDIT])
    second = run.reader(("graph",))
    client.undo()
    found = [next(first), next(first), next(second)]
    assert [event.what for event in found if isinstance(event, GraphEvent)] == ["edit", "undo", "undo"]


def test_a_reader_that_waits_gets_an_event_from_another_thread(
    run: RunEvents, pipeline: Supervisor, client: Client
) -> None:
    run.begin(pipeline, client)
    reader = run.reader(("graph",))
    sender = threading.Thread(target=lambda: client.edit([EDIT]))
    sender.start()
    assert isinstance(next(reader), GraphEvent)
    sender.join()


def test_a_reader_that_is_let_go_leaves_no_subscription(run: RunEvents, pipeline: Supervisor, client: Client) -> None:
    run.begin(pipeline, client)
    for _ in range(70):  # more than the pipeline has places for
        run.reader(("log",))
    assert run.reader(()).get(0) is None


def test_a_reader_takes_the_rest_of_a_run_that_has_ended_and_sees_its_gap() -> None:
    run = RunEvents()
    reader = run.reader(("log",))
    ended(run, KEEP_EVENTS + 5)
    missed, *rest = reader
    assert missed == MissedEvents(events=5)
    assert [event.message for event in rest if isinstance(event, LogEvent)] == [
        str(number) for number in range(5, KEEP_EVENTS + 5)
    ]
    assert list(reader) == list(run.reader(())) == []


def test_readers_of_a_run_that_never_began_end() -> None:
    run = RunEvents()
    reader = run.reader(())
    run.finish()
    assert list(reader) == list(run.reader(())) == []
