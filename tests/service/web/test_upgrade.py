"""The socket of an upgrade for sound goes to the media process; the web process keeps nothing of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from audio_pipeline.host.lock import LOCK, Hold
from audio_pipeline.packed import unpack_map
from audio_pipeline.service.access import COOKIE_S, Identity
from audio_pipeline.service.origins import Origins
from audio_pipeline.service.session.folder import ENDED, PLAYING, SessionFolder, SessionJob, SessionStatus
from audio_pipeline.service.web.app import make_app
from audio_pipeline.service.web.guard import Guard
from audio_pipeline.service.web.identify import cookie_name
from audio_pipeline.service.web.state import Service
from audio_pipeline.service.web.upgrade import protocol_for
from tests.service.web.serving import service_in

MOST = 1 << 17
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\n\r\nsound"


class Quiet(uvicorn.Server):
    """A server that leaves the signals of the tests alone."""

    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[int]:
    """A real server on an ephemeral port of loopback; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        service.origins = Origins("127.0.0.1", port)
        guard = Guard(_nothing, service.origins, 1_000_000)
        config = uvicorn.Config(
            make_app(service, {}), http=protocol_for(service, guard), loop="asyncio", ws="websockets-sansio",
            log_level="error", lifespan="on",
        )  # fmt: skip
        server = Quiet(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield port
        finally:
            server.should_exit = True
            await task


async def _nothing(*_: object) -> None:
    """Nothing is behind the guard."""


def request(path: str, port: int, cookie: str, origin: str = "", more: bytes = b"") -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: keep-alive, Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Cookie: {cookie}"]
    lines += [f"Origin: {origin or f'http://127.0.0.1:{port}'}", "Sec-WebSocket-Protocol: apf1"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + more


async def exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await reader.read(MOST)
    finally:
        writer.close()
        await writer.wait_closed()


async def take(media: socket.socket) -> tuple[dict[Any, Any], socket.socket]:
    """What the media process gets: the message and the client's connection."""
    loop = asyncio.get_running_loop()
    channel, _ = await loop.sock_accept(media)
    with channel:
        ready = loop.create_future()
        loop.add_reader(channel, ready.set_result, None)
        await ready
        loop.remove_reader(channel)
        data, descriptors, _, _ = socket.recv_fds(channel, MOST, 4)
    assert len(descriptors) == 1
    return unpack_map(data, "handover", MOST), socket.socket(fileno=descriptors[0])


def media_socket(service: Service) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    found.bind(str(service.options.media_socket))
    found.listen()
    found.setblocking(False)
    return found


def playing(service: Service) -> tuple[SessionFolder, Hold]:
    """A session that looks alive: somebody holds its lock."""
    entry = service.catalog.entry("karaoke_browser")
    folder = SessionFolder.create(service.options.sessions, SessionJob(entry.offer.id, str(entry.path)))
    hold = Hold(folder.path)
    folder.write_status(SessionStatus(PLAYING, run="/run/of/it", pid=os.getpid()))
    return folder, hold


def cookie(service: Service, role: str = "play") -> str:
    return f"{cookie_name(service)}={service.cookies.issue(Identity('ann', role), COOKIE_S)}"


def short(tmp_path: Path) -> Service:
    """A Unix socket's path has 107 bytes at most."""
    return service_in(tmp_path)


def test_the_connection_itself_is_handed_over(tmp_path: Path) -> None:
    async def go() -> None:
        service = short(tmp_path)
        folder, hold = playing(service)
        with media_socket(service) as media:
            async with serving(service) as port:
                path = f"/v1/sessions/{folder.id}/audio"
                client = asyncio.create_task(exchange(port, request(path, port, cookie(service), more=b"early")))
                message, connection = await take(media)
                with connection:
                    connection.setblocking(False)
                    await asyncio.get_running_loop().sock_sendall(connection, ANSWER)
                    connection.shutdown(socket.SHUT_WR)  # the client sees the end: nobody else holds it open
                    assert await client == ANSWER
        hold.close()
        head, rest = message.pop("request").split(b"\r\n\r\n")
        assert head.startswith(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}".encode()) and rest == b"early"
        assert message.pop("ports")[0] == "mix.out" and Path(message.pop("lease")) == folder.lease
        assert message == {"v": 1, "session": folder.id, "run": "/run/of/it", "name": "ann", "role": "play"}

    asyncio.run(go())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"cookie": "x=y"}, 401),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"path": "/v1/sessions/0123456789abcdef/audio"}, 404),
        ({}, 503),
    ],
)
def test_a_refusal_is_an_answer_and_nothing_is_handed_over(tmp_path: Path, change: dict[str, str], status: int) -> None:
    """The last one: nobody listens there, since the media process is just being started anew."""

    async def go() -> bytes:
        service = short(tmp_path)
        folder, hold = playing(service)
        async with serving(service) as port:
            given = {"path": f"/v1/sessions/{folder.id}/audio", "cookie": cookie(service), **change}
            answer = await exchange(port, request(given.pop("path"), port, **given))
        hold.close()
        return answer

    answer = asyncio.run(go())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode()) and b'{"error":{"message":' in answer


def test_a_session_that_is_over_is_said_to_be(tmp_path: Path) -> None:
    async def go() -> bytes:
        service = short(tmp_path)
        folder, hold = playing(service)
        hold.close()
        (folder.path / LOCK).unlink()  # it names this process, which lives
        async with serving(service) as port:
            return await exchange(port, request(f"/v1/sessions/{folder.id}/audio", port, cookie(service)))

    answer = asyncio.run(go())
    assert answer.startswith(b"HTTP/1.1 503 ") and b"the session is failed" in answer


def test_the_media_process_is_told_once_that_a_session_is_over(tmp_path: Path) -> None:
    async def go() -> tuple[list[dict[Any, Any]], str]:
        service = short(tmp_path)
        folder, hold = playing(service)
        service.sessions.adopt()
        folder.write_status(SessionStatus(ENDED, pid=os.getpid()))
        hold.close()
        with media_socket(service) as media:
            for _ in range(3):
                await service.sessions.turn()
            channels = []
            while (channel := _waiting(media)) is not None:
                with channel:
                    channels.append(unpack_map(channel.recv(MOST), "order", MOST))
        await service.sessions.close()
        return channels, folder.id

    orders, session = asyncio.run(go())
    assert orders == [{"v": 1, "ended": session}]


def _waiting(media: socket.socket) -> socket.socket | None:
    try:
        return media.accept()[0]
    except BlockingIOError:
        return None
