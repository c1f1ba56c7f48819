"""What is counted in restarts, edits, log lines and words, not in hours: nothing of it adds up.

A real supervisor without processes. Everything that can be reached from it is counted, its files and descriptors too.
"""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest

from audio_pipeline.control.codec import VERSION, encode
from audio_pipeline.supervisor import departed, history
from audio_pipeline.supervisor.records import Phase
from audio_pipeline.supervisor.watch import SAMPLE_S
from tests.fuzz.control import Nobody, Quiet, quiet_supervisor

Act = Callable[[Quiet, int], None]
OPAQUE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    with quiet_supervisor() as made:
        made.parts.life.start()
        yield made


def reachable(root: object) -> int:
    """How many objects hang on one, without code; the containers among them count with what they hold."""
    gc.collect()
    seen: set[int] = set()
    todo = [root]
    total = 0
    while todo:
        item = todo.pop()
        if id(item) in seen or isinstance(item, OPAQUE):
            continue
        seen.add(id(item))
        total += 1
        todo += gc.get_referents(item)
    return total


def files(quiet: Quiet) -> int:
    return len(os.listdir(quiet.run_dir.path)) + len(os.listdir("/proc/self/fd"))


def ask(quiet: Quiet, op: str, **word: Any) -> dict[str, Any]:
    quiet.hear(encode({"v": VERSION, "token": quiet.token, "id": 1, "op": op, **word}))
    return quiet.answers[-1]


def say(quiet: Quiet, op: str, **word: Any) -> None:
    quiet.hear(encode({"token": quiet.token, "node": "mix", "op": op, **word}))


def restart(quiet: Quiet, at: int) -> None:
    """A death, and the successor; the node was healthy each time."""
    supervisor, record = quiet.parts, quiet.parts.state.nodes["mix"]
    child = Nobody()
    child.log = quiet.run_dir.path / f"worker-{at}.log"
    child.log.write_text(f"traceback {at}")
    supervisor.state.run.board_path("mix", record.incarnation).touch()
    record.child, record.phase, record.ready, record.started_s = child, Phase.RUNNING, True, -1e6  # type: ignore[assignment]
    quiet.workers.ended.append((child, -9))
    now_s = time.monotonic() + at * SAMPLE_S
    supervisor.turn_processes(now_s)
    record.retry_s = 0.0
    child.pid = at + 10**7  # nobody's
    for look in range(1, 4):  # a watchdog that is called more seldom takes the host for one that stood still
        supervisor.turn_processes(now_s + look * SAMPLE_S / 3)
    assert record.incarnation == at + 1
    if at % 500 == 0:  # what was held of the dead is let go
        supervisor.housekeeping.turn(1e9 + at)


def edit(quiet: Quiet, at: int) -> None:
    """A node of a name that never was is added, and taken out."""
    node = {"kind": "sum", "inputs": {"x": {"from": "song", "on_loss": "silence"}}}
    for change in ({"op": "add", "name": f"more{at}", "node": node}, {"op": "remove", "name": f"more{at}"}):
        answer = ask(quiet, "edit", revision=quiet.parts.state.graph_revision, changes=[change])
        assert answer["ok"], answer


def log_line(quiet: Quiet, at: int) -> None:
    say(quiet, "log", message=f"line {at} of a node that prints with every frame")


def event(quiet: Quiet, at: int) -> None:
    say(quiet, "event", event={"kind": f"kind{at}", "text": "x" * 50})


def setting(quiet: Quiet, at: int) -> None:
    assert ask(quiet, "set", node="mix", name="inputs.dry.gain", value=at % 100 / 100)["ok"]


def seek(quiet: Quiet, at: int) -> None:
    ask(quiet, "transport", node="song", command="pause" if at % 2 else "play")
    media = {"kind": "media", "position": at, "media_s": 0.0, "media_id": f"song{at}"}
    quiet.hear(encode({"token": quiet.token, "node": "song", "op": "event", "event": media}))


def helper_dies(quiet: Quiet, at: int) -> None:
    quiet.parts.events.log(f"the process for metrics ended {at} times", event="helper", level="warning")


ACTS: list[Act] = [restart, edit, log_line, event, setting, seek, helper_dies]
FEW = {restart: 2_500, edit: 120}  # enough for every bound to be reached twice
MOST_EDITS = 20_000  # each takes a plan of the whole graph, twice


@pytest.mark.parametrize("act", ACTS)
def test_nothing_adds_up(quiet: Quiet, act: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, bound in ((departed, "FORMER"), (departed, "RETIRED"), (history, "MOST_STEPS")):
        monkeypatch.setattr(module, bound, 20)  # or edits would take half a minute to reach them
    _count(quiet, act, FEW.get(act, 5_000))


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("act", ACTS)
def test_nothing_adds_up_to_a_hundred_thousand(quiet: Quiet, act: Act) -> None:
    _count(quiet, act, MOST_EDITS if act is edit else 100_000)


def _count(quiet: Quiet, act: Act, times: int) -> None:
    sizes = []
    for at in range(3_000):  # what keeps the newest so many is full
        event(quiet, at)
    for at in range(times):
        act(quiet, at)
        if at + 1 in (times // 2, times):
            sizes.append((reachable(quiet.parts), files(quiet)))
    (objects, kept), (later, kept_later) = sizes
    print(f"{act.__name__}: {objects} objects, {kept} files after {times // 2}; {later}, {kept_later} after {times}")
    assert later <= objects * 1.02 + 200, "objects"
    assert kept_later <= kept + 2, "files and descriptors"


def test_the_count_sees_what_adds_up(quiet: Quiet) -> None:
    before = reachable(quiet.parts)
    quiet.parts.events.log_lines = deque(f"line {at}" for at in range(500))
    assert reachable(quiet.parts) > before
