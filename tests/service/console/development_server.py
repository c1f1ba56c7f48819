"""A service to develop the console against: the answers of the API in their shapes, and one session without sound.

`python -m tests.service.console.development_server` serves it on a free port and prints the address.
"""

from __future__ import annotations

import asyncio
import io
import json
import math
import socket
import struct
import threading
import time
import wave
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.service.console.console_files import files

METERS = ["mix.direct_vocals", "mix.direct_accompaniment", "mix.out"]
LENGTH_S = 54.0
TOKEN = "open-sesame"


def parameter(key: str, default: Any, choices: list[str] | None = None) -> dict[str, Any]:
    return {"key": key, "title": key, "type": "number", "default": default, "choices": choices}


def mixer(*names: str) -> list[dict[str, Any]]:
    settings = {"gain_db": 0, "mute": False, "solo": False}
    return [parameter(f"mix.inputs.{name}.{key}", value) for name in names for key, value in settings.items()]


SOURCE = [parameter("source.inputs.song.gain_db", 0), parameter("source.inputs.line.gain_db", 0)]
MODE = [parameter("split.mode", "balanced", ["offline", "low", "balanced", "quality"])]
FOUR = mixer("vocals", "drums", "bass", "other")
TWO = mixer("vocals", "accompaniment")
CONFIGS = [
    {"id": "karaoke_browser", "title": "Karaoke", "text": "", "kind": "karaoke", "parameters": MODE + TWO},
    {"id": "stems_browser", "title": "Voice and band", "text": "", "kind": "stems", "parameters": SOURCE + MODE + TWO},
    {"id": "stems4_browser", "title": "Four stems", "text": "", "kind": "stems", "parameters": SOURCE + MODE + FOUR},
]


def tone(seconds: float = 3.0, rate: int = 8_000) -> bytes:
    """A WAV file of 440 Hz."""
    samples = [round(8_000 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(round(seconds * rate))]
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return made.getvalue()


class Pretended:
    """One host with one session at most, and what was asked of it."""

    def __init__(self, needs_token: bool = False) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.is_known = not needs_token
        self.refusal: dict[str, Any] | None = None
        self.files: list[dict[str, Any]] = []
        self.takes: list[dict[str, Any]] = []
        self.session: dict[str, Any] | None = None
        self.state: dict[str, Any] = {}
        self.recorded_since: float | None = None
        self.sessions_made = 0

    def begin(self, config: str, label: str) -> dict[str, Any]:
        self.sessions_made += 1
        found = f"{self.sessions_made:016x}"
        session = {"id": found, "config": config, "label": label, "state": "playing", "feeds": ["singer"]}
        paths = {"audio": f"/v1/sessions/{found}/audio", "events": f"/v1/sessions/{found}/events"}
        self.session = {**session, **paths, "ports": [{"port": "mix.out", "channels": 2}], "revision": 1, "error": ""}
        parameters = next(each["parameters"] for each in CONFIGS if each["id"] == config)
        nodes = ("song", "split", "singer", "mix", "take", "speaker")
        node = {"kind": "mixer", "state": "running", "busy": 0.12, "cpu": 0.03, "rss_mb": 58, "restarts": 0, "note": ""}
        link = {"policy": "block", "queued": 1, "age_p99_ms": 12.5, "dropped": 0}
        self.state = {
            "meters": METERS,
            "session": {"state": "playing", "error": ""},
            "values": {each["key"]: each["default"] for each in parameters if "inputs" in each["key"]},
            "transport": {"song": {"playing": True, "loop": True, "media_s": 12.0, "length_s": LENGTH_S}},
            "recording": {"on": False, "take": "", "seconds": 0},
            "nodes": {name: dict(node) for name in nodes},
            "links": {"song.out>split.in": link, "split.vocals>mix.vocals": dict(link)},
            "uptime_s": 75,
        }
        return self.session

    def moved(self, seconds: float) -> None:
        """Time passes."""
        song = self.state["transport"]["song"]
        if song["playing"]:
            song["media_s"] = round((song["media_s"] + seconds) % LENGTH_S, 2)
        if self.recorded_since is not None:
            self.state["recording"]["seconds"] = int(time.monotonic() - self.recorded_since)

    def command(self, action: str, to_s: float = 0.0, on: bool = True) -> None:
        song = self.state["transport"]["song"]
        changes = {
            "play": {"playing": True},
            "pause": {"playing": False},
            "seek": {"media_s": to_s},
            "loop": {"loop": on},
        }
        song.update(changes[action])

    def record(self, on: bool) -> None:
        self.recorded_since = time.monotonic() if on else None
        self.state["recording"] = {"on": on, "take": "aa" if on else "", "seconds": 0}
        if not on:
            size = len(tone())
            names = ("mix", "vocals", "accompaniment", "singer")
            tracks = [{"id": f"{i:02}", "name": name, "seconds": 3.0, "bytes": size} for i, name in enumerate(names)]
            self.takes.append({"id": f"take{len(self.takes)}", "started": 1.8e9, "seconds": 3.0, "tracks": tracks})

    def host(self) -> dict[str, Any]:
        shown = [{**self.session, "cores": 0.31, "mb": 130}] if self.session else []
        return {
            "version": "0.1.0",
            "cpus": 2,
            "load": 0.42,
            "cores": {"capacity": 1.4, "reserved": 0.31 * len(shown)},
            "memory": {"total_mb": 24_000, "used_mb": 6_100, "capacity_mb": 16_000, "reserved_mb": 130 * len(shown)},
            "gpu": [],
            "models": [{"name": "spleeter-2stems balanced", "holds": "model", "used": len(shown)}],
            "sessions": shown,
            "restarts": {"web": 0, "media": 1},
            "uptime_s": 4_000,
            "log": [{"text": "media: started again after signal 9", "level": "warning"}, {"text": "web: listens"}],
        }


class Answers:
    """What each route answers."""

    def __init__(self, pretended: Pretended) -> None:
        self.pretended = pretended

    async def asked(self, request: Request) -> Any:
        """Notes a request; its body, decoded where it is JSON."""
        body = await request.body()
        plain = json.loads(body) if body and request.headers.get("content-type") == "application/json" else body
        self.pretended.asked.append((request.method, request.url.path, plain))
        return plain

    def json_of(self, value: Callable[[], Any]) -> Any:
        async def answer(request: Request) -> Response:
            if not self.pretended.is_known:
                return JSONResponse({"error": {"message": "log in first", "code": "unauthorized", "where": ""}}, 401)
            return JSONResponse(value())

        return answer

    async def login(self, request: Request) -> Response:
        if (await self.asked(request))["token"] != TOKEN:
            return JSONResponse({"error": {"message": "this link is not valid", "code": "unauthorized"}}, 401)
        self.pretended.is_known = True
        return Response(None, 204)

    async def upload(self, request: Request) -> Response:
        await self.asked(request)
        name = request.query_params["name"]
        if not name.endswith(".wav"):
            return JSONResponse({"error": {"message": "this is not a sound file", "code": "media"}}, 422)
        made = {"id": f"{len(self.pretended.files):032x}", "name": name, "seconds": 61.0, "rate": 44_100, "channels": 2}
        self.pretended.files.append(made)
        return JSONResponse(made, 201)

    async def remove_file(self, request: Request) -> Response:
        await self.asked(request)
        kept = [each for each in self.pretended.files if each["id"] != request.path_params["id"]]
        self.pretended.files = kept
        return Response(None, 204)

    async def create(self, request: Request) -> Response:
        body = await self.asked(request)
        if self.pretended.refusal is not None:
            return JSONResponse({"error": self.pretended.refusal}, 503, {"Retry-After": "5"})
        return JSONResponse(self.pretended.begin(body["config"], body["label"]), 201)

    async def session(self, request: Request) -> Response:
        body = await self.asked(request)
        if request.method == "DELETE":
            self.pretended.session = None
            return Response(None, 204)
        if request.method == "PATCH":
            self.pretended.state["values"].update(body["set"])
        return JSONResponse(self.pretended.session)

    async def transport(self, request: Request) -> Response:
        body = await self.asked(request)
        self.pretended.command(body["action"], body.get("to_s", 0.0), body.get("on", True))
        return JSONResponse({"heard_in_ms": 40.0, "note": ""})

    async def record(self, request: Request) -> Response:
        self.pretended.record((await self.asked(request))["on"])
        return JSONResponse({"recording": True, "take": ""})

    async def remove_take(self, request: Request) -> Response:
        await self.asked(request)
        kept = [each for each in self.pretended.takes if each["id"] != request.path_params["take"]]
        self.pretended.takes = kept
        return Response(None, 204)

    async def track(self, request: Request) -> Response:
        return Response(tone(), media_type="audio/wav")

    async def events(self, socket: WebSocket) -> None:
        """State, patches and meters, until the page goes."""
        if self.pretended.session is None:
            return await socket.close(4404)
        await socket.accept()
        try:
            await socket.send_json({"t": "state", "revision": 1, "state": self.pretended.state})
            for turn in range(1_000_000):
                await asyncio.sleep(0.05)
                await socket.send_bytes(_meters(turn / 20))
                if turn % 5 == 0:
                    self.pretended.moved(0.25)
                    await socket.send_json({"t": "patch", "revision": turn, "merge": self.pretended.state})
        except (WebSocketDisconnect, RuntimeError):
            return


def make_app(pretended: Pretended) -> Starlette:
    """The routes of the API that the console uses."""
    answers, session = Answers(pretended), "/v1/sessions/{id}"
    json_of = answers.json_of
    return Starlette(
        routes=[
            *(Route(path, _static(body, headers)) for path, (body, headers) in files().items()),
            Route("/v1/login", answers.login, methods=["POST"]),
            Route("/v1/me", json_of(lambda: {"name": "Ann", "role": "control"})),
            Route("/v1/configs", json_of(lambda: CONFIGS)),
            Route("/v1/files", json_of(lambda: pretended.files)),
            Route("/v1/files", answers.upload, methods=["POST"]),
            Route("/v1/files/{id}", answers.remove_file, methods=["DELETE"]),
            Route("/v1/sessions", json_of(lambda: [pretended.session] if pretended.session else [])),
            Route("/v1/sessions", answers.create, methods=["POST"]),
            Route(session, answers.session, methods=["GET", "PATCH", "DELETE"]),
            Route(f"{session}/transport", answers.transport, methods=["POST"]),
            Route(f"{session}/record", answers.record, methods=["POST"]),
            Route(f"{session}/takes", json_of(lambda: pretended.takes)),
            Route(f"{session}/takes/{{take}}", answers.remove_take, methods=["DELETE"]),
            Route(f"{session}/takes/{{take}}/tracks/{{track}}", answers.track),
            Route("/v1/host", json_of(pretended.host)),
            WebSocketRoute(f"{session}/events", answers.events),
        ]
    )


def _static(body: bytes, headers: Mapping[str, str]) -> Any:
    async def answer(request: Request) -> Response:
        return Response(body, headers=headers)

    return answer


def _meters(seconds: float) -> bytes:
    levels = [-18 + 12 * math.sin(seconds * (2 + i)) for i in range(len(METERS))]
    return b"APM1" + struct.pack(
        f"<I{2 * len(levels)}f", len(levels), *(x for level in levels for x in (level, level - 6))
    )


class DevelopmentServer:
    """Serves in a thread, at `url`."""

    def __init__(self, pretended: Pretended) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(make_app(pretended), log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(5)


if __name__ == "__main__":
    server = DevelopmentServer(Pretended())
    print(server.url, flush=True)
    threading.Event().wait()
