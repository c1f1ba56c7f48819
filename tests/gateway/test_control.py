"""The control protocol through a gateway: a real pipeline, a client on another host, and what its role allows."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile as sf

from audio_pipeline.cli.main import main
from audio_pipeline.clock_offset import ClockOffset
from audio_pipeline.control.codec import VERSION, encode
from audio_pipeline.control.pushes import EventBatch
from audio_pipeline.control.requests import EVENTS, GRAPH, LEDGER, METERS, TOPICS
from audio_pipeline.control.snapshots import Description, Ledger, Meters
from audio_pipeline.errors import ControlError
from audio_pipeline.gateway.control import ControlEnd, RemoteControl
from audio_pipeline.gateway.remote import Remote
from audio_pipeline.gateway.server import Gateway
from audio_pipeline.gateway.stream import Stream
from audio_pipeline.keys import FOLDER, Keys
from audio_pipeline.links.message_codec import pack
from audio_pipeline.links.messages import Bye
from audio_pipeline.supervisor.subscriptions import LEASE_S, MOST_OF_A_CLIENT
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.graphs import graph_of
from tests.gateway.studio import Stranger, until
from tests.patience import PATIENCE_S
from tests.relay import Relay

NODES = """
song: {kind: noise, seed: 0}
out: {kind: sink, inputs: {a: song}}
"""


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    """A running pipeline."""
    with tempfile.TemporaryDirectory(prefix="r") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)
        made = Supervisor(graph_of(NODES, name="studio"), folder=Path(folder))
        made.start()
        try:
            yield made
        finally:
            made.stop()
            assert made.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def gateway(supervisor: Supervisor) -> Iterator[Gateway]:
    """Its gateway; without keys everybody may listen, on loopback."""
    made = Gateway("127.0.0.1:0", supervisor.run_dir, [], keys=None)
    made.open()
    yield made
    made.close()


@pytest.fixture
def remote(gateway: Gateway) -> Remote:
    return Remote("127.0.0.1", gateway.port)


@pytest.fixture
def client(remote: Remote) -> Iterator[RemoteControl]:
    made = RemoteControl(remote)
    yield made
    made.close()


def test_every_topic_is_pushed_to_another_host(client: RemoteControl) -> None:
    with client.subscribe(TOPICS, every_ms=50, since=1) as subscription:
        found = {}
        while set(found) != set(TOPICS):
            push = subscription.take(PATIENCE_S)
            assert push is not None
            found[push.topic] = push.data
    assert isinstance(found[EVENTS], EventBatch) and isinstance(found[LEDGER], Ledger)
    assert isinstance(found[METERS], Meters) and isinstance(found[GRAPH], Description)


def test_pushes_go_on_as_long_as_they_are_acknowledged(client: RemoteControl) -> None:
    with client.subscribe([METERS], every_ms=50) as subscription:
        numbers = [push.number for push in (subscription.take(PATIENCE_S) for _ in range(40)) if push is not None]
    assert len(numbers) == 40 and numbers == sorted(set(numbers))
    assert numbers[-1] - numbers[0] - 39 == subscription.skipped - (numbers[0] - 1)


def test_why_a_connection_cannot_be_made_stays_with_its_clients_until_it_is_made() -> None:
    """A client greets nobody, so only the connection knows whether somebody is there."""
    stream = Stream(1, "studio", lambda message: True, ClockOffset(), ControlEnd)
    stream.complain("studio does not let this host in")
    stream.turn(1, barred=True)
    assert stream.trouble == "studio does not let this host in" and not stream.connected
    stream.turn(2)
    assert stream.connected and not stream.trouble


def test_what_the_role_does_not_allow_is_refused(client: RemoteControl) -> None:
    assert client.describe().name == "studio"
    with pytest.raises(ControlError, match="role 'listen', which does not allow 'stop'"):
        client.stop()
    with pytest.raises(ControlError, match="'graph' is not for other hosts"):
        client.graph()


def test_a_connection_has_a_bounded_number_of_subscriptions(client: RemoteControl) -> None:
    for _ in range(MOST_OF_A_CLIENT):
        client.request("subscribe", topics=["events"])
    with pytest.raises(ControlError, match=f"this client has {MOST_OF_A_CLIENT} subscriptions"):
        client.request("subscribe", topics=["events"])


def test_a_client_and_its_subscriptions_share_a_connection_and_leave_it_one_by_one(
    client: RemoteControl, gateway: Gateway
) -> None:
    """Each is a stream: a reply finds who asked for it, and the end of one is not that of the others."""
    assert client.describe().name == "studio"
    with client.subscribe([METERS], every_ms=50) as first, client.subscribe([METERS], every_ms=50) as second:
        assert first.take(PATIENCE_S) is not None and second.take(PATIENCE_S) is not None
        assert len(gateway.acceptor.numbers) == 1 and gateway.connected == ["somebody: controls"] * 3
        first.close()
        until(lambda: len(gateway.connected) == 2)
        assert second.take(PATIENCE_S) is not None and client.describe().name == "studio"


@pytest.mark.parametrize(
    "leave", [lambda one: one.socket.send(pack(Bye(stream=3))), Stranger.close], ids=["bye", "closed"]
)
def test_subscriptions_end_with_the_bye_and_with_the_connection_of_a_client(
    remote: Remote, supervisor: Supervisor, leave: Callable[[Stranger], object]
) -> None:
    """Nobody takes what is pushed to them, and they would hold places until their lease is over."""
    subscriptions = supervisor.parts.subscriptions
    until(lambda: not len(subscriptions))
    stranger = Stranger(remote)
    for number in range(2):
        stranger.socket.send(encode({"v": VERSION, "stream": 3, "id": number, "op": "subscribe", "topics": ["events"]}))
    until(lambda: len(subscriptions) == 2)
    leave(stranger)
    began_s = time.monotonic()
    until(lambda: not len(subscriptions))
    assert time.monotonic() - began_s < LEASE_S, "it did not wait for the lease"
    stranger.close()


def test_subscriptions_go_on_after_the_connection_was_cut(remote: Remote) -> None:
    relay = Relay(remote.port)
    client = RemoteControl(replace(remote, port=relay.port))
    try:
        with client.subscribe([METERS], every_ms=50) as subscription:
            assert subscription.take(PATIENCE_S) is not None
            relay.cut()
            relay.reopen()
            until(lambda: subscription.take(0.1) is not None)
            assert client.describe().name == "studio"
    finally:
        client.close()
        relay.close()


def test_the_command_tap_records_an_output_of_another_host(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State and sound by one connection, with keys, as a person types it."""
    studio, laptop = Keys(tmp_path / "studio"), Keys(tmp_path / "laptop")
    laptop.allow("studio", studio.new("studio").public, "host")
    studio.allow("laptop", laptop.new("laptop").public, "listen")
    monkeypatch.setenv(FOLDER, str(laptop.folder))
    locked = Gateway("127.0.0.1:0", supervisor.run_dir, ["song"], keys=studio)
    locked.open()
    try:
        until(locked.exported)
        where = f"tcp://studio@127.0.0.1:{locked.port}"
        assert main(["tap", "song", "--pipeline", where, "--seconds", "0.2", "--wav", str(tmp_path / "song.wav")]) == 0
        assert sf.info(tmp_path / "song.wav").frames == round(0.2 * 48_000)
    finally:
        locked.close()
