"""Faults for a running pipeline: which, when, and how long until the node they hit works again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from audio_pipeline.node import Node
from tests.proofs.live import Pipeline, State

SEED = "AUDIO_PIPELINE_SEED"
KINDS = ("kill", "kill", "kill", "freeze", "freeze", "hang")  # drawn from: half of all are kills


class Fault(NamedTuple):
    """`kill` is SIGKILL, `freeze` SIGSTOP for `seconds` and SIGCONT, `hang` SIGSTOP for good."""

    kind: str
    node: str
    seconds: float


class Outcome(NamedTuple):
    """What a fault did: `back_s` from the blow (a freeze: from its end) until frames flow again."""

    fault: Fault
    died: bool
    back_s: float
    wait_s: float  # of `back_s`: the pause that the supervisor makes after deaths in short succession


def seed() -> int:
    """From the environment, to repeat a run; else a fresh one."""
    return int(os.environ.get(SEED) or time.time_ns() % 1_000_000)


def draw(rng: random.Random, nodes: Sequence[str], count: int) -> Iterator[Fault]:
    """`count` faults, every node in turn in an order of chance."""
    order: list[str] = []
    for _ in range(count):
        order = order or rng.sample(list(nodes), len(nodes))
        kind = rng.choice(KINDS)
        yield Fault(kind, order.pop(), rng.uniform(0.1, Node.hang_s) if kind == "freeze" else 0.0)


@dataclass
class Chaos:
    """Hits the nodes of a pipeline, one after the other, and remembers what came of it."""

    pipeline: Pipeline
    deadline_s: float = 30.0
    outcomes: list[Outcome] = field(default_factory=list)
    hit: set[int] = field(default_factory=set)  # processes that were killed or stopped

    def strike(self, fault: Fault) -> Outcome:
        """One blow, and the wait until the node works again."""
        before = self.pipeline.state()["nodes"][fault.node]
        self.hit.add(before["pid"])
        os.kill(before["pid"], signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)
        flowed, began_s = flow(self.pipeline.state(), fault.node), time.monotonic()
        if fault.kind == "freeze":
            time.sleep(fault.seconds)
            with suppress(ProcessLookupError):  # taken for hung and killed
                os.kill(before["pid"], signal.SIGCONT)
            began_s = time.monotonic()
        state, wait_s = self._until_back(fault.node, flowed)
        died = state["nodes"][fault.node]["restarts"] > before["restarts"]
        self.outcomes.append(Outcome(fault, died, time.monotonic() - began_s, wait_s if died else 0.0))
        return self.outcomes[-1]

    def _until_back(self, node: str, flowed: int) -> tuple[State, float]:
        record, wait_s, end_s = self.pipeline.supervisor.nodes[node], 0.0, time.monotonic() + self.deadline_s
        while time.monotonic() < end_s:
            state = self.pipeline.state()
            wait_s = max(wait_s, record.backoff_s())
            if flow(state, node) > flowed:
                return state, wait_s
            assert not self.pipeline.run.wait(0), f"the pipeline ended: {self.pipeline.run.error}"
            time.sleep(0.02)
        raise AssertionError(f"{node} did not come back within {self.deadline_s:g} s; log: {state['log'][-20:]}")

    def deaths(self) -> dict[str, int]:
        """How often each node died of this."""
        died = [outcome.fault.node for outcome in self.outcomes if outcome.died]
        return {node: died.count(node) for node in sorted({outcome.fault.node for outcome in self.outcomes})}

    def lines(self, budgets: Mapping[str, float]) -> Iterator[str]:
        """A line a node and kind of fault: how long it took."""
        for node in self.deaths():
            for kind in dict.fromkeys(KINDS):
                these = [o for o in self.outcomes if (o.fault.node, o.fault.kind) == (node, kind)]
                took = sorted(o.back_s - o.wait_s for o in these)
                if took:
                    yield (
                        f"{kind} {node}: {len(took)} times, works again after p50 {took[len(took) // 2]:.2f} s, "
                        f"max {took[-1]:.2f} s (budget {budget_s(kind, budgets[node]):g} s)"
                    )

    def too_slow(self, budgets: Mapping[str, float]) -> list[Outcome]:
        """Outcomes over their budget."""
        return [o for o in self.outcomes if o.back_s - o.wait_s > budget_s(o.fault.kind, budgets[o.fault.node])]


def budget_s(kind: str, restart_s: float) -> float:
    """A hung node has to be found out first: its limit, or three times a step that a freeze made long."""
    return restart_s if kind == "kill" else restart_s + 3 * Node.hang_s + 0.5


def flow(state: State, node: str) -> int:
    """Frames that a node has sent, or taken where it sends none."""
    links = state["links"]
    sent = [link["offered"] for link in links if link["from"].split(".")[0] == node]
    return sum(sent or [link["delivered"] for link in links if link["to"].split(".")[0] == node])
