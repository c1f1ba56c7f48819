"""What a second karaoke costs on one host: processes, memory, CPU, missed deadlines, time to an answer of the model.

`python benchmarks/second_karaoke.py [SECONDS [WINDOWS]]` plays karaoke as it is shipped, then with `host: shared`,
alone and beside a second one, and looks at each for some windows of some seconds. Memory is PSS: what is shared counts
once in the sum. Linux.
"""

from __future__ import annotations

import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from audio_pipeline.control.client import Client
from audio_pipeline.control.requests import MetersRequest
from audio_pipeline.control.snapshots import NodeLedger
from audio_pipeline.cpu import cores, processor
from audio_pipeline.errors import ControlError
from audio_pipeline.host import runtime

SECONDS, WINDOWS = 10.0, 3
SETTLE_S = 8.0  # after the clock has started: imports of spare processes, the burst of the song
START_S = 120.0
LOOK_S = 0.1
SILENT = ('nodes.speaker.device="null"',)
SHARED = ("host=shared",)


@dataclass(frozen=True)
class Cost:
    """Of all processes of the runtime folder."""

    processes: int
    pss_mb: float
    cores: float


def pids(folder: str) -> list[int]:
    """Processes that began with this runtime folder."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.environ().get("XDG_RUNTIME_DIR") == folder
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def pss_mb(pid: int) -> float:
    """Proportional set size of a process."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


def cpu_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def karaoke(sets: Sequence[str], folder: str) -> Iterator[Client]:
    """One that plays, after its first seconds."""
    before = {run.path for run in runtime.running()}
    folder = tempfile.mkdtemp(dir=folder)
    command = [sys.executable, "-m", "audio_pipeline", "run", "karaoke", "--no-view", "--folder", folder]
    for each in (*SILENT, *sets):
        command += ["--set", each]
    printed = Path(folder, "printed")
    with printed.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        with _client(before) as client:
            _wait_for_clock(client, process, printed)
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _client(before: set[Path]) -> Client:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        new = [run for run in runtime.running() if run.path not in before]
        if new:
            return Client(new[0].control, new[0].token)
        time.sleep(LOOK_S)
    raise SystemExit("karaoke did not start")


def _wait_for_clock(client: Client, process: subprocess.Popen[bytes], printed: Path) -> None:
    until_s = time.monotonic() + START_S
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise SystemExit(printed.read_text(encoding="utf-8"))
        with suppress(ControlError):  # it is starting
            if client.ask(MetersRequest(), START_S).uptime_s > SETTLE_S:
                return
        time.sleep(LOOK_S)
    raise SystemExit("karaoke did not play")


def measured(folder: str, clients: Sequence[Client], seconds: float) -> tuple[Cost, list[str]]:
    """The cost over so long, and a line for each separator."""
    began_s, before = time.monotonic(), {pid: cpu_s(pid) for pid in pids(folder)}
    missed = [_split(client).counters.get("missed_deadlines", 0) for client in clients]
    took: list[list[float]] = [[] for _ in clients]
    while time.monotonic() - began_s < seconds:
        for client, values in zip(clients, took, strict=True):
            values.append(_split(client).gauges["inference_ms"])
        time.sleep(LOOK_S)
    lasted_s, now = time.monotonic() - began_s, pids(folder)
    used_s = sum(cpu_s(pid) - before.get(pid, 0.0) for pid in now)
    cost = Cost(len(now), sum(map(pss_mb, now)), used_s / lasted_s)
    return cost, [_line(client, *each) for client, *each in zip(clients, missed, took, strict=True)]


def _split(client: Client) -> NodeLedger:
    return client.ledger().nodes["split"]


def _line(client: Client, missed: int, took: list[float]) -> str:
    split = _split(client)
    quantiles = statistics.quantiles(took, n=20)
    percentile_ms = quantiles[-1]
    stated_ms = client.describe().nodes["split"].latency_ms["total"]
    return (
        f"hop {split.gauges['hop']:.0f}, rung {split.gauges['mode']:.0f}, "
        f"{split.counters.get('missed_deadlines', 0) - missed} deadlines missed, "
        f"answer after {statistics.median(took):.0f} ms (95 %: {percentile_ms:.0f} ms), "
        f"stated latency {stated_ms:.0f} ms"
    )


def show(name: str, cost: Cost, lines: Sequence[str]) -> None:
    print(f"{name:44} {cost.processes:3} processes {cost.pss_mb:7.0f} MB {cost.cores:5.2f} cores")
    for line in lines:
        print(f"    {line}")


def windows(name: str, folder: str, clients: Sequence[Client], seconds: float, count: int) -> list[Cost]:
    """Measures so often, and prints each."""
    costs = []
    for _ in range(count):
        cost, lines = measured(folder, clients, seconds)
        show(name, cost, lines)
        costs.append(cost)
    return costs


def main() -> None:
    """Prints a line a case and window, and what the second one added."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    count = int(sys.argv[2]) if len(sys.argv) > 2 else WINDOWS
    print(f"{processor()}, {cores()} cores, {platform.platform()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="ap-") as folder, tempfile.TemporaryDirectory() as takes:
        os.environ |= {"XDG_RUNTIME_DIR": folder, "AUDIO_PIPELINE_LINGER_S": "0"}
        with karaoke((), takes) as client:
            windows("karaoke as shipped", folder, [client], seconds, count)
        with ExitStack() as stack:
            first = stack.enter_context(karaoke(SHARED, takes))
            alone = windows("with host: shared", folder, [first], seconds, count)
            second = stack.enter_context(karaoke(SHARED, takes))
            both = windows("a second one beside it", folder, [first, second], seconds, count)
        added = [after.pss_mb - before.pss_mb for before, after in zip(alone, both, strict=True)]
        print(
            f"the second added {both[-1].processes - alone[-1].processes} processes, {statistics.median(added):.0f} MB "
            f"({', '.join(f'{each:.0f}' for each in added)})"
        )


if __name__ == "__main__":
    main()
