"""What viewers get: the state once, patches that lead to the same state, meters; who is slow holds nobody up."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.control.events import LogEvent, NodeEvent
from audio_pipeline.control.snapshots import Meters, NodeMeters
from audio_pipeline.service.access import COOKIE_S, Identity
from audio_pipeline.service.merge_patch import difference, merged
from audio_pipeline.service.web.app import make_app
from audio_pipeline.service.web.feeds import QUEUE, Viewer
from audio_pipeline.service.web.identify import cookie_name
from audio_pipeline.service.web.shown import SILENT_DB, binary_meters, shown_event
from audio_pipeline.service.web.state import Service
from tests.service.web.serving import PORT, alive, service_in
from tests.service.web.test_api import ended_session

SCALARS = st.integers() | st.text(max_size=5) | st.booleans() | st.lists(st.integers(), max_size=3)
MAPS = st.recursive(SCALARS, lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=4), max_leaves=12)
STATES = st.dictionaries(st.text(max_size=3), MAPS, max_size=5)


@given(STATES, STATES)
def test_a_patch_makes_the_new_state_of_the_old_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, difference(old, new)) == new


@given(STATES)
def test_nothing_that_is_the_same_is_sent(state: dict[str, Any]) -> None:
    assert difference(state, json.loads(json.dumps(state))) == {}


def test_who_is_too_slow_is_owed_the_state_and_holds_nothing() -> None:
    async def go() -> tuple[bool, int]:
        viewer = Viewer()
        viewer.is_behind = False
        for number in range(QUEUE + 10):
            viewer.put(str(number))
        waiting = 0
        while viewer.is_waiting:
            await viewer.take()
            waiting += 1
        return viewer.is_behind, waiting

    behind, waiting = asyncio.run(go())
    assert behind and waiting < QUEUE


def test_meters_are_two_numbers_a_port() -> None:
    nodes = {"mix": NodeMeters("running", levels_db={"out": (-3.0, -12.5)}), "dead": NodeMeters("died")}
    meters = Meters(1, 1, 0.0, 0, 0.0, "host", 0.0, nodes, (), {})
    data = binary_meters(["mix.out", "mix.gone", "dead.out"], meters)
    assert data[:4] == b"APM1" and struct.unpack("<I", data[4:8]) == (3,)
    assert struct.unpack("<6f", data[8:]) == (-3.0, -12.5, *[SILENT_DB] * 4)


def test_events_name_no_path() -> None:
    log = LogEvent(message="wrote /state/sessions/x/vocals.wav")
    assert shown_event(log, "/state/sessions/")["message"] == "wrote x/vocals.wav"
    saved = NodeEvent(kind="saved", node="rec", position=1, data={"track": "mix", "path": "/state/x.wav"})
    assert shown_event(saved, "/state/")["data"] == {"track": "mix"}


class Socket:
    """One WebSocket to an application, without a network."""

    def __init__(self, service: Service, path: str, role: str | None, origin: str) -> None:
        headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"origin", origin.encode())]
        if role is not None:
            secret = service.cookies.issue(Identity("ann", role), COOKIE_S)
            headers.append((b"cookie", f"{cookie_name(service)}={secret}".encode()))
        self.scope = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "subprotocols": [],
            "extensions": {},
        }
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.out: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._in.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> dict[str, Any]:
        return await self._in.get()

    async def send(self, message: Any) -> None:
        self.out.put_nowait(message)

    def leave(self) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": 1000})


def first_messages(
    folder: Path, count: int, role: str | None = "listen", origin: str = f"http://127.0.0.1:{PORT}", which: str = ""
) -> list[dict[str, Any]]:
    """What a viewer of a session that is over gets first."""

    async def go() -> list[dict[str, Any]]:
        service = service_in(folder)
        session = ended_session(service)
        app = make_app(service, {})
        socket = Socket(service, f"/v1/sessions/{which or session.id}/events", role, origin)
        async with alive(app):
            task = asyncio.create_task(app(socket.scope, socket.receive, socket.send))  # type: ignore[arg-type]
            found = [await socket.out.get() for _ in range(count)]
            socket.leave()
            await task
        return found

    return asyncio.run(go())


def test_a_viewer_gets_the_state_first(tmp_path: Path) -> None:
    accepted, state = first_messages(tmp_path, 2)
    assert accepted["type"] == "websocket.accept"
    message = json.loads(state["text"])
    assert (message["t"], message["state"]["session"]["state"]) == ("state", "ended")


@pytest.mark.parametrize(
    "more",
    [
        {"role": None},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"which": "0123456789abcdef"},
        {"which": ".."},
    ],
)
def test_nobody_else_gets_anything(tmp_path: Path, more: dict[str, Any]) -> None:
    (refused,) = first_messages(tmp_path, 1, **more)
    assert refused["type"] == "websocket.close"
