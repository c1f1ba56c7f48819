"""A whole service on loopback: processes that die are back, sessions and takes outlive them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from audio_pipeline.service.parent import WEB
from tests.patience import PATIENCE_S
from tests.shared import ROOT

pytestmark = pytest.mark.live

BACK_S = 1.5  # of the web process, on a quiet machine
LOOK_S = 0.02


class Served:
    """A service that runs, and a client that is logged in."""

    def __init__(self, folder: Path) -> None:
        names = {"XDG_RUNTIME_DIR": "r", "XDG_STATE_HOME": "s", "XDG_CONFIG_HOME": "c"}
        for part in names.values():
            (folder / part).mkdir(mode=0o700, exist_ok=True)
        self.environment = {**os.environ, **{name: str(folder / part) for name, part in names.items()}}
        self.state = folder / "s" / "audio-pipeline"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "audio_pipeline", "serve", "--listen", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=self.environment, text=True)
        assert self.process.stdout is not None
        url, _, self._token = self.process.stdout.readline().strip().partition("/#login=")
        self.client = httpx.Client(base_url=url, timeout=PATIENCE_S)
        until(self.answers)
        assert self.client.post("/v1/login", json={"token": self._token}).status_code == 204

    def answers(self) -> bool:
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def child(self, module: str) -> psutil.Process:
        """The service's process that runs a module."""
        found = psutil.Process(self.process.pid).children()
        return next(each for each in found if module in each.cmdline())

    def session(self) -> dict[str, Any]:
        """A session that plays."""
        body = {"config": "karaoke_browser", "set": {"split.mode": "low"}}
        made: dict[str, Any] = self.client.post("/v1/sessions", json=body).json()
        until(lambda: self.state_of(made["id"]) == "playing")
        return made

    def state_of(self, session: str) -> str:
        return str(self.client.get(f"/v1/sessions/{session}").json()["state"])

    def pid_of(self, session: str) -> int:
        return int(json.loads((self.state / "sessions" / session / "status.json").read_text())["pid"])

    def end(self) -> int:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(PATIENCE_S)


def until(condition: Callable[[], bool]) -> float:
    """How long it took until that was so."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE_S, "it did not come about"
        time.sleep(LOOK_S)
    return time.monotonic() - start


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("v"))
    yield found
    found.client.close()
    for status in found.state.glob("sessions/*/status.json"):
        pid = int(json.loads(status.read_text())["pid"])
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGTERM)
    if found.process.poll() is None:
        found.process.kill()
        found.process.communicate()


def test_a_session_and_its_take_outlive_the_web_process(served: Served) -> None:
    session = served.session()["id"]
    path = f"/v1/sessions/{session}"
    take = served.client.post(f"{path}/record", json={"on": True}).json()["take"]
    pid = served.pid_of(session)
    served.child(WEB).kill()
    until(lambda: not served.answers())
    print(f"the web process was back after {until(served.answers):.2f} s (bar {BACK_S:g} s)")
    assert served.state_of(session) == "playing" and served.pid_of(session) == pid
    until(lambda: served.client.get(path).json()["recording"])
    assert served.client.post(f"{path}/record", json={"on": False}).json() == {"recording": False, "take": take}
    (found,) = served.client.get(f"{path}/takes").json()
    assert {track["name"] for track in found["tracks"]} == {"vocals", "accompaniment", "singer", "mix"}
    folder = served.state / "sessions" / session / "takes" / take
    tracks = json.loads((folder / "take.json").read_text())["tracks"]
    # what lies before its beginning is silence in the file where that was in the first 10 s; nothing else is missing
    assert [gap for track in tracks.values() for gap in track["gaps"] if gap["at"] > 0] == []
    assert served.end() == 0


def test_a_successor_finds_the_sessions_of_a_service_that_was_killed(served: Served) -> None:
    session = served.session()["id"]
    pid = served.pid_of(session)
    web = served.child(WEB)
    served.process.kill()
    served.process.communicate()
    served.client.close()
    until(lambda: not web.is_running() or web.status() == psutil.STATUS_ZOMBIE)  # it ended with its parent
    served.start()
    assert served.state_of(session) == "playing" and served.pid_of(session) == pid
    assert served.client.get("/v1/host").json()["cores"]["reserved"] > 0
    assert served.client.delete(f"/v1/sessions/{session}").status_code == 204
    until(lambda: served.state_of(session) == "ended")
    assert served.end() == 0


def test_a_second_service_with_the_same_folder_is_refused(served: Served) -> None:
    command = [sys.executable, "-m", "audio_pipeline", "serve", "--listen", "0"]
    done = subprocess.run(command, cwd=ROOT, env=served.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "a service runs with" in done.stderr
    link = subprocess.run([*command[:3], "serve", "--link"], cwd=ROOT, env=served.environment, capture_output=True,
                          text=True, check=True)  # fmt: skip
    token = link.stdout.strip().partition("/#login=")[2]
    assert httpx.post(f"{served.client.base_url}/v1/login", json={"token": token}).status_code == 204
    assert served.end() == 0
