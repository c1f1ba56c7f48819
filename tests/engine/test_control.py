"""The control socket: what is asked rightly is answered, all else is refused with a sentence and harms nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.control.client import Client
from audio_pipeline.control.codec import MAX_BYTES, VERSION, decode, encode
from audio_pipeline.control.connection import Connection
from audio_pipeline.errors import ControlError, WireError
from audio_pipeline.host import runtime
from audio_pipeline.supervisor.control_socket import SEND_QUEUE
from audio_pipeline.supervisor.supervisor import Supervisor
from tests.engine.small_pipeline import small_pipeline, wait_for_running
from tests.patience import PATIENCE_S
from tests.plain_state import plain_state


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Supervisor]:
    """One real pipeline for all tests of this file; whoever breaks it breaks them all."""
    with small_pipeline("hostile") as supervisor:
        yield supervisor


@pytest.fixture
def client(pipeline: Supervisor) -> Iterator[Client]:
    made = pipeline.client()
    wait_for_running(made)
    yield made
    made.close()


@pytest.fixture
def socket(pipeline: Supervisor) -> Iterator[zmq.Socket[bytes]]:
    """A stranger who found the socket."""
    context: zmq.Context[Any] = zmq.Context()
    made = context.socket(zmq.DEALER)
    made.connect(pipeline.run_dir.control)
    yield made
    made.close(linger=0)
    context.term()


def asked(socket: zmq.Socket[bytes], message: bytes) -> dict[str, Any]:
    socket.send(message)
    assert socket.poll(PATIENCE_S * 1000), "no answer"
    answer: dict[str, Any] = msgpack.unpackb(socket.recv())
    return answer


def word(pipeline: Supervisor, **over: Any) -> bytes:
    packed: bytes = msgpack.packb({"v": VERSION, "token": pipeline.access["token"], "id": 7, "op": "meters", **over})
    return packed


# -- words -------------------------------------------------------------------------------------------


@given(st.binary(max_size=100))
def test_any_bytes_are_a_word_or_a_wire_error(message: bytes) -> None:
    try:
        assert isinstance(decode(message), dict)
    except WireError:
        pass


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (b"\x91" * 2000, "not msgpack"),
        (msgpack.packb([1]), "is a list, expected a map"),
        (msgpack.packb({"op": 5}), "not a map with a text 'op'"),
        (bytes(MAX_BYTES + 1), "expected at most 4194304"),
    ],
)
def test_what_is_no_word_is_said(message: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        decode(message)


# -- strangers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "guess", None, 5, "é", b"x"])
def test_without_the_token_nothing_is_answered(pipeline: Supervisor, socket: zmq.Socket[bytes], token: object) -> None:
    for op in ("meters", "stop", "set", "ready"):
        answer = asked(socket, word(pipeline, token=token, op=op, node="mix"))
        assert answer == {"id": 7, "ok": False, "error": "wrong token"}


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"v": 1}, "control protocol version 1, expected 2"),
        ({"v": None}, "control protocol version None, expected 2"),
        ({"op": "meter"}, "unknown operation 'meter', did you mean 'meters'?"),
        ({"op": ""}, "unknown operation ''"),
        ({"op": "set"}, "set.node: missing, expected text"),
        ({"op": "set", "node": "mixx", "name": "x", "value": 1}, "unknown node 'mixx', did you mean 'mix'?"),
        (
            {"op": "set", "node": "mix", "name": "inputs.dry.gain", "value": "x"},
            "nodes.mix.inputs.dry.gain: expected a number, got 'x'",
        ),
        ({"op": "set", "node": "mix", "name": "inputs.dry.gian", "value": 1}, "did you mean 'gain'?"),
        ({"op": "set", "node": "song", "name": "seconds", "value": 1}, "cannot be changed while the pipeline runs"),
        (
            {"op": "set", "node": "mix", "name": "inputs.dry.gain", "value": 1, "at": "soon"},
            "set.at: expected a whole number >= 0 and < 2^62, got 'soon'",
        ),
        ({"op": "set", "node": ["mix"], "name": {}, "value": 1}, "set.node: expected text, got ['mix']"),
        (
            {"op": "transport", "node": "mix", "command": "seek"},
            "mix is no source that can be paused; sources are song",
        ),
        (
            {"op": "transport", "node": "song", "command": "dance"},
            "song has no command 'dance'; expected one of play, pause, seek",
        ),
        (
            {"op": "transport", "node": "song", "command": "seek", "args": {"seconds": float("nan")}},
            "seek: seconds: expected a number >= 0 and <= 10000000, got nan",
        ),
        ({"op": "transport", "node": "song", "command": "seek", "args": {}}, "seek: seconds: expected a number"),
        (
            {"op": "transport", "node": "song", "command": "seek", "args": [1, 2]},
            "transport.args: expected a map (name: value), got [1, 2]",
        ),
        ({"op": "events", "since": "x"}, "events.since: expected a whole number >= 0 and < 2^62, got 'x'"),
    ],
)
def test_what_cannot_be_done_is_answered_with_one_sentence(
    pipeline: Supervisor, client: Client, socket: zmq.Socket[bytes], over: dict[str, Any], said: str
) -> None:
    answer = asked(socket, word(pipeline, **over))
    assert (answer["id"], answer["ok"]) == (7, False) and said in answer["error"]
    assert plain_state(client)["nodes"]["mix"]["restarts"] == 0


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"garbage"],
        [b"\xc1" * 50],
        [b"\x91" * 5000],
        [bytes(100_000)],
        [b"", b""],
        [b"a", b"b", b"c"],
    ],
)
def test_garbage_is_answered_or_ignored_and_the_music_goes_on(
    client: Client, socket: zmq.Socket[bytes], parts: list[bytes]
) -> None:
    socket.send_multipart(parts)
    assert socket.poll(PATIENCE_S * 1000) and not msgpack.unpackb(socket.recv())["ok"]
    assert not plain_state(client)["ended"]


def test_a_client_that_never_reads_costs_a_bounded_number_of_answers(pipeline: Supervisor, client: Client) -> None:
    asked_for = 2 * SEND_QUEUE + 100
    with zmq.Context() as context, context.socket(zmq.DEALER) as deaf:
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.setsockopt(zmq.SNDHWM, 0)
        deaf.connect(pipeline.run_dir.control)
        for number in range(asked_for):
            deaf.send(word(pipeline, id=number))
        deaf.send(word(pipeline, op="set", node="mix", name="inputs.dry.gain", value=0.75))
        while plain_state(client)["nodes"]["mix"]["settings"]["inputs"]["dry"]["gain"] != 0.75:
            pass  # the others are answered meanwhile, and at last all of these have been
        got = 0
        while deaf.poll(200):
            deaf.recv()
            got += 1
    assert 0 < got < SEND_QUEUE + 100, "the rest was not kept"


def test_a_req_socket_may_ask_too(pipeline: Supervisor) -> None:
    """It puts an empty part before its word, which once ended the whole pipeline."""
    with zmq.Context() as context, context.socket(zmq.REQ) as req:
        req.setsockopt(zmq.LINGER, 0)
        req.connect(pipeline.run_dir.control)
        req.send(b"hello")
        pipeline.client().close()
    ask = pipeline.client()
    assert not plain_state(ask)["ended"]
    ask.close()


@pytest.mark.parametrize(
    "over",
    [
        {"op": "ready"},
        {"op": "ready", "latency": 5, "live": []},
        {"op": "reply", "id": "x"},
        {"op": "log"},
        {"op": "dance"},
        {"op": "snapshot", "state": 5},
        {"op": "event", "event": [1]},
        {"op": "event", "event": {"kind": "media", "position": "x"}},
    ],
)
def test_a_malformed_word_of_a_node_is_logged_and_harms_nobody(
    pipeline: Supervisor, client: Client, socket: zmq.Socket[bytes], over: dict[str, Any]
) -> None:
    socket.send(msgpack.packb({"token": pipeline.access["token"], "node": "song", **over}))
    socket.send(msgpack.packb({"token": pipeline.access["token"], "node": "nobody", **over}))
    answer = asked(socket, word(pipeline))
    assert answer["ok"] and not answer["result"]["ended"]
    assert plain_state(client)["nodes"]["song"]["state"] == "running"


# -- the client --------------------------------------------------------------------------------------


def test_a_fader_is_moved_and_the_answer_says_when_it_is_heard(client: Client) -> None:
    before = plain_state(client)
    answer = client.set("mix", "inputs.dry.gain", 0.5)
    assert answer.position is not None and answer.heard_in_ms is not None
    assert answer.position >= before["position"] - 48_000 and 0 <= answer.heard_in_ms < 100
    after = plain_state(client)
    assert after["nodes"]["mix"]["settings"]["inputs"]["dry"]["gain"] == 0.5
    assert after["revision"] > before["revision"]


def test_several_threads_share_a_client(client: Client) -> None:
    names: list[str] = []
    threads = [threading.Thread(target=lambda: names.append(plain_state(client)["name"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["hostile"] * 8


def test_each_event_is_told_once(client: Client) -> None:
    first = client.events()
    assert any(event.kind == "media" for event in first) and client.events() == []


def test_one_attaches_by_name(pipeline: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(pipeline.run_dir.path.parent.parent))
    attached = Client.attach("hos")
    assert plain_state(attached)["name"] == "hostile"
    attached.close()
    with pytest.raises(ControlError, match="no running pipeline called 'radio'"):
        Client.attach("radio")


def test_who_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    client = Client(f"ipc://{tmp_path}/nobody", "t")
    with pytest.raises(ControlError, match=r"^the pipeline did not answer 'meters' within 0\.02 s$"):
        client.request("meters", timeout_s=0.02)
    client.close()


def test_who_answers_something_else_for_ever_is_not_waited_for_either() -> None:
    """Another host may say what it likes, as fast as it likes."""

    class Flood:
        answers = 0

        def send(self, message: bytes) -> None:
            assert decode(message)["op"] == "meters"

        def receive(self, timeout_s: float) -> dict[str, Any]:
            self.answers += 1
            assert timeout_s > 0 and self.answers < 1_000_000
            return {"id": 0, "ok": True}

        def close(self, linger_ms: int) -> None:
            """Nothing is open."""

    with pytest.raises(ControlError, match="did not answer"):
        Connection(Flood(), "t").call("meters", {}, 0.02)


def test_a_pipeline_that_ends_while_one_attaches_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtime, "attach", lambda which=None: runtime.RunDir(tmp_path))
    with pytest.raises(ControlError, match=r"has no token to be read, so it has ended \(No such file"):
        Client.attach()


def test_answers_to_what_was_not_asked_are_passed_over(tmp_path: Path) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.bind(f"ipc://{tmp_path}/control")
        client = Client(f"ipc://{tmp_path}/control", "t")

        def serve() -> None:
            sender, message = router.recv_multipart()
            number = decode(message)["id"]
            for answer in (
                {"id": number + 5, "ok": True, "result": 1},
                {"ok": True},
                {"id": number, "ok": True, "result": 2},
            ):
                router.send_multipart([sender, encode(answer)])

        server = threading.Thread(target=serve)
        server.start()
        assert client.request("meters") == 2
        server.join()
        client.close()
