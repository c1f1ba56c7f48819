"""Both clients at a real pipeline: the same calls, the same replies, the same pushes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.control.async_client import AsyncClient
from audio_pipeline.control.client import Client
from audio_pipeline.control.codec import CODECS, Codec
from audio_pipeline.control.pushes import EventBatch, Push
from audio_pipeline.control.requests import EVENTS, GRAPH, LEDGER, METERS, TOPICS
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.control.state import State, fetch_state
from audio_pipeline.errors import ControlError
from audio_pipeline.observe.metrics_source import MetricsSource
from audio_pipeline.observe.prometheus import text_of
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.graphs import graph_of
from tests.engine.small_pipeline import NODES, small_pipeline
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Supervisor]:
    """One real pipeline for all tests of this file."""
    with small_pipeline("clients") as supervisor:
        yield supervisor


@pytest.fixture(params=CODECS, ids=lambda codec: codec.name)
def client(pipeline: Supervisor, request: pytest.FixtureRequest) -> Iterator[Client]:
    codec: Codec = request.param
    with Client(pipeline.access["endpoint"], pipeline.access["token"], codec=codec) as made:
        yield made


def with_async(pipeline: Supervisor, act: Callable[[AsyncClient], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with AsyncClient(pipeline.access["endpoint"], pipeline.access["token"]) as client:
            return await act(client)

    return asyncio.run(run())


def test_the_three_snapshots_are_of_one_pipeline(client: Client) -> None:
    description, meters, ledger = client.describe(), client.meters(), client.ledger()
    assert description.name == "clients" and list(description.nodes) == ["song", "mix", "out"]
    assert set(meters.nodes) == set(ledger.nodes) == set(description.nodes)
    assert (
        [link.source for link in description.links] == [link.source for link in ledger.links] == ["song.out", "mix.out"]
    )
    assert len(meters.links) == len(description.links) and all(link.balanced for link in ledger.links)
    assert description.graph_revision == meters.graph_revision == ledger.graph_revision == 1


def test_a_state_is_fetched_of_them(client: Client) -> None:
    state = fetch_state(client)
    assert state.description.name == "clients" and state.meters.nodes["mix"].state == "running"
    assert state.fits_together and [node.name for node in state.node_states] == ["song", "mix", "out"]
    assert [str(link.output) for link in state.ledger.links] == ["song.out", "mix.out"]
    assert all(len(link.age_counts) == 192 for link in state.ledger.links)


def test_a_setting_is_changed_and_refused(client: Client) -> None:
    reply = client.set("mix", "inputs.dry.gain", 0.5)
    assert reply.position is not None and reply.heard_in_ms is not None and not reply.note
    assert client.describe().nodes["mix"].settings["inputs"]["dry"]["gain"] == 0.5
    with pytest.raises(ControlError, match=r"^nodes\.mix\.inputs\.dry\.gain: expected a number, got 'loud'"):
        client.set("mix", "inputs.dry.gain", "loud")


def test_every_topic_is_pushed_in_order(client: Client) -> None:
    with client.subscribe(TOPICS, every_ms=50, since=1) as subscription:
        found: dict[str, Push] = {}
        while set(found) != set(TOPICS):
            push = subscription.take(PATIENCE_S)
            assert push is not None
            found[push.topic] = push
    assert isinstance(found[EVENTS].data, EventBatch) and isinstance(found[METERS].data, Meters)
    assert isinstance(found[GRAPH].data, Description) and isinstance(found[LEDGER].data, Ledger)
    assert subscription.skipped == subscription.lost == 0


def test_a_change_is_pushed_to_whoever_watches_the_graph(client: Client) -> None:
    with client.subscribe([GRAPH]) as subscription:
        first = subscription.take(PATIENCE_S)
        client.set("mix", "inputs.dry.gain", 0.25)
        then = subscription.take(PATIENCE_S)
    assert first is not None and then is not None and then.data.revision > first.data.revision
    assert then.data.nodes["mix"].settings["inputs"]["dry"]["gain"] == 0.25


def test_a_subscription_without_a_topic_is_refused(client: Client) -> None:
    with pytest.raises(ControlError, match=r"^subscribe\.topics: expected one or more topics"):
        client.subscribe([])


def test_the_async_client_gives_the_same(pipeline: Supervisor, client: Client) -> None:
    async def act(other: AsyncClient) -> None:
        description, meters, ledger = await asyncio.gather(other.describe(), other.meters(), other.ledger())
        assert description.nodes == client.describe().nodes and set(meters.nodes) == set(description.nodes)
        assert description.name == "clients" and set(ledger.nodes) == set(meters.nodes)
        assert (await other.set("mix", "inputs.dry.gain", 0.75)).position is not None
        assert (await other.graph()).revision == client.graph().revision
        assert [output.port for output in (await other.ports()).outputs] == ["song.out", "mix.out"]
        with pytest.raises(ControlError, match="unknown node 'mixx', did you mean 'mix'"):
            await other.set("mixx", "gain", 1)
        with pytest.raises(ControlError, match="unknown operation 'dance'"):
            await other.request("dance")

    with_async(pipeline, act)


def test_many_requests_of_one_async_client_are_under_way_at_once(pipeline: Supervisor) -> None:
    async def act(client: AsyncClient) -> list[Meters]:
        return await asyncio.gather(*[client.meters() for _ in range(50)])

    assert len(with_async(pipeline, act)) == 50


def test_an_async_subscription_is_iterated(pipeline: Supervisor) -> None:
    async def act(client: AsyncClient) -> list[Push]:
        found = []
        async with await client.subscribe([METERS, GRAPH], every_ms=50) as subscription:
            async for push in subscription:
                found.append(push)
                if len(found) == 4:
                    return found
        raise AssertionError("the pipeline ended")

    pushes = with_async(pipeline, act)
    assert [push.number for push in pushes] == [1, 2, 3, 4] and {push.topic for push in pushes} == {METERS, GRAPH}


def test_an_async_client_does_not_wait_for_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        async with AsyncClient(f"ipc://{tmp_path}/nobody", "t") as client:
            with pytest.raises(ControlError, match=r"^the pipeline did not answer 'meters' within 0\.02 s$"):
                await client.request("meters", timeout_s=0.02)

    asyncio.run(run())


def test_the_end_is_pushed_with_the_last_events(pipeline: Supervisor, tmp_path: Path) -> None:
    supervisor = Supervisor(graph_of(NODES, name="ending"), folder=tmp_path)
    supervisor.start()
    with supervisor.client() as client, client.subscribe([METERS, EVENTS], since=1) as subscription:
        client.stop()
        pushes = list(subscription)
    assert supervisor.wait(PATIENCE_S)
    assert pushes[-1].topic == "end" and pushes[-1].data.reason == "the pipeline ended" and subscription.ended
    assert [push.data for push in pushes if push.topic == METERS][-1].ended
    assert subscription.take(0.0) is None


def gain_of(state: State) -> float:
    return float(state.description.nodes["mix"].settings["inputs"]["dry"]["gain"])


def test_metrics_are_made_of_what_was_pushed_and_of_what_is_counted_now(pipeline: Supervisor) -> None:
    with pipeline.client() as client:
        source = MetricsSource(client)
        first = source.state()
        client.set("mix", "inputs.dry.gain", 0.1)
        later = source.state()
        while later.description.revision == first.description.revision or gain_of(later) != 0.1:
            later = source.state()
        source.close()
    text = text_of(later).decode()
    assert 'audio_pipeline_node_up{kind="sum",node="mix",state="running"} 1.0' in text
