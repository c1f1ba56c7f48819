"""Services of the host: listed with what they hold and who uses them, ended on request, or by themselves when idle."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from audio_pipeline.cli.main import main
from audio_pipeline.links.waker import Waker
from audio_pipeline.serving import forked, model_host
from audio_pipeline.serving.service import (
    ACCESS,
    LINGER,
    LINGER_S,
    LONGEST_LINGER_S,
    STATUS,
    Idle,
    Service,
    Tenure,
    linger_s,
)
from audio_pipeline.serving.services import running_services
from audio_pipeline.serving.worker_pool import FIRST_USER_S, Pool
from audio_pipeline.supervisor.pooled import PooledWorkers
from audio_pipeline.supervisor.worker_spec import WorkerSpec
from tests.patience import PATIENCE_S
from tests.serving.conftest import wait_for_end

PROCESS = """
import sys
from pathlib import Path
from audio_pipeline.serving.service import Status, Tenure
tenure = Tenure.begin(Path(sys.argv[1]))
tenure.publish()
tenure.show(Status("a model", tuple(sys.argv[2:]), 30.0))
print("ready", flush=True)
while tenure.is_published or sys.argv[2:]:
    sys.stdin.readline() if sys.argv[2:] else None
tenure.end()
"""


class Clock:
    """Time that passes by `step_s` whenever it is asked for."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now_s, self.step_s = 100.0, step_s

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


def test_a_service_ends_when_nobody_has_used_it_for_so_long() -> None:
    clock = Clock()
    idle = Idle(30.0, 0.0, clock)
    for seconds, in_use, over in [(29, False, False), (1, True, False), (29, False, False), (1, False, True)]:
        clock.now_s += seconds
        assert idle.is_over(in_use=in_use) is over


def test_who_started_it_has_longer_to_come() -> None:
    clock = Clock()
    idle = Idle(5.0, 10.0, clock)
    clock.now_s += 14.9
    assert not idle.is_over(in_use=False)
    clock.now_s += 0.1
    assert idle.is_over(in_use=False)
    assert not idle.is_over(in_use=True)
    clock.now_s += 5
    assert idle.is_over(in_use=False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, LINGER_S), ("7.5", 7.5), ("0", 0.0), ("-3", 0.0), ("1e9", LONGEST_LINGER_S), ("soon", LINGER_S)],
)
def test_how_long_is_in_the_environment(value: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LINGER, raising=False)
    if value is not None:
        monkeypatch.setenv(LINGER, value)
    assert linger_s() == seconds


class Server:
    """A model's server with a user for the first turns."""

    engine, users = "fake (CPU)", ("'run/split' (hop 4)",)

    def __init__(self, turns: int) -> None:
        self.turns, self.closed = turns, False

    def __len__(self) -> int:
        return max(self.turns, 0)

    def receive(self, *parts: bytes) -> None: ...

    def turn(self) -> None:
        self.turns -= 1

    def close(self) -> None:
        self.closed = True


class Ticking(Waker):
    """Wakes at once, so that no turn waits for time to pass."""

    def clear(self) -> None:
        super().clear()
        self.wake()


@pytest.mark.parametrize("used", [0, 7])
def test_an_idle_model_host_ends_by_itself(runtime: Path, used: int) -> None:
    """30 s after its last user, at 10 s a turn."""
    tenure, server, clock, waker = tenure_of(Service("model", {})), Server(used), Clock(10.0), Ticking()
    idle = Idle(30.0, 0.0, clock)
    waker.wake()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context.socket(zmq.ROUTER) as listener:
        model_host.run(tenure, listener, waker, server, tenure.publish, idle)  # type: ignore[arg-type]
    context.term()
    waker.close()
    assert server.closed and server.turns == -2, "two idle turns, and at the third look 30 s have passed"
    tenure.end()


def tenure_of(service: Service) -> Tenure:
    tenure = Tenure.begin(service.path)
    assert tenure is not None
    return tenure


def test_an_idle_pool_ends_by_itself(runtime: Path) -> None:
    tenure, clock = tenure_of(Service("pool", {})), Clock()
    tenure.publish()
    times = []

    def now_s() -> float:
        times.append(clock.now_s)
        clock.now_s += 10.0
        return clock.now_s

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tenure.socket))
        listener.listen()
        Pool(tenure, listener, Idle(30.0, FIRST_USER_S, now_s), Clock()).run()
    assert times[-1] - times[0] == pytest.approx(30 + FIRST_USER_S, abs=10)
    tenure.end()


# -- the list -----------------------------------------------------------------------------------------


@pytest.fixture
def started(runtime: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []

    def start(service: Service, *users: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROCESS, str(service.path), *users]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        made.append(child)
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        return child

    yield start
    for child in made:
        child.kill()
        child.communicate()


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["leftovers", *arguments]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("nothing is left")]


def test_leftovers_lists_services_with_what_they_hold_and_who_uses_them(
    started: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    idle, used = Service("model", {"a": 1}), Service("pool", {})
    first, second = started(idle), started(used, "'karaoke-1' (2 processes)")
    lines = listed(capsys)
    assert f"service {idle.path.name}: process {first.pid} with " in lines[0]
    assert lines[0].endswith("holds a model; used by nobody; it ends by itself after 30 s")
    assert f"service {used.path.name}: process {second.pid} with " in lines[1]
    assert lines[1].endswith("used by 'karaoke-1' (2 processes)")
    assert not listed(capsys, "--sweep") == [], "a service is no leftover: a sweep ends none"


@pytest.mark.parametrize("users", [(), ("'karaoke-1' (hop 4)",)])
def test_a_service_is_ended_on_request(
    users: tuple[str, ...], started: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """One that nobody uses ends by itself once it is not to be found any more, the other is killed."""
    service = Service("model", {})
    child = started(service, *users)
    assert listed(capsys, "--end", service.path.name) == [f"ended service {service.path.name}"]
    assert child.wait() == (-signal.SIGKILL if users else 0)
    assert not service.is_running and list(running_services()) == []


def test_a_service_that_is_not_there_is_named(runtime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leftovers", "--end", "model-0"]) == 2
    assert "no service of the host is called 'model-0'; running: none" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[", "[]", '{"holds": 3}', '{"linger_s": "x"}', "9" * 70_000])
def test_a_damaged_status_hides_no_service(
    text: str, started: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service("model", {})
    started(service)
    (service.path / STATUS).write_text(text)
    assert "holds nothing yet" in listed(capsys)[0]


def test_a_dead_service_is_not_listed(
    started: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    service = Service("model", {})
    child = started(service, "'karaoke-1' (hop 4)")
    child.kill()
    child.wait()
    assert (service.path / ACCESS).exists() and listed(capsys) == []
    tenure = tenure_of(service)
    assert not (service.path / STATUS).exists(), "a successor begins with a status of its own"
    tenure.end()


@pytest.mark.skipif(not forked.is_supported(), reason="Linux")
def test_the_pool_names_the_pipelines_whose_processes_it_made(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runtime / "audio-pipeline" / "duet-1"
    folder.mkdir(mode=0o700, parents=True)
    folder.parent.chmod(0o700)
    pool = PooledWorkers(WorkerSpec(), lambda line: None)
    children = [pool.take(number, folder, ()) for number in (1, 2)]
    (service,) = running_services()
    while "2 processes" not in "".join(service.status.users):
        (service,) = running_services()
    assert service.status.holds == "2 processes" and service.status.users == ("'duet-1' (2 processes)",)
    assert service.pid is not None
    for child in children:
        assert child is not None
        child.kill()
        assert child.wait(PATIENCE_S)
    pool.close()
    wait_for_end(service.pid)
