"""`audio-pipeline metrics` and `audio-pipeline logs`: the numbers and the output of a running pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from audio_pipeline.cli.attach import attached, until_it_ends
from audio_pipeline.control.client import Client
from audio_pipeline.control.requests import METERS
from audio_pipeline.control.snapshots import Ledger, Meters, NodeLedger
from audio_pipeline.control.state import fetch_state
from audio_pipeline.errors import ControlError, PipelineError, nearest
from audio_pipeline.host import runtime
from audio_pipeline.host.log_ring import read_from
from audio_pipeline.terminal import printable, warn, write

FOLLOW_MS = 250
QUIET_S = 5.0  # without meters: the pipeline is asked


def metrics(args: argparse.Namespace) -> int:
    """The metrics once, for a file that another exporter serves, or for a person."""
    from audio_pipeline.observe.prometheus import text_of

    with attached(args.pipeline) as client:
        write(text_of(fetch_state(client)).decode().rstrip("\n"))
    return 0


def logs(args: argparse.Namespace) -> int:
    """What nodes printed, from the files of the running pipeline."""
    run = _run(args.pipeline)
    with attached(args.pipeline) as client, until_it_ends(args.pipeline):
        ledger = client.ledger()
        names = [args.node] if args.node else list(ledger.nodes)
        _check_known(names, ledger)
        printed = Printed(run, prefix=args.node is None)
        if args.node is None:
            write(*map(printable, ledger.log))
        printed.show(ledger.nodes, names)
        if args.follow:
            _follow(client, printed, names)
    return 0


def _check_known(names: Sequence[str], ledger: Ledger) -> None:
    known = ledger.nodes
    for name in names:
        if name not in known:
            raise ControlError(f"unknown node {name!r}{nearest(name, known)}; known: {', '.join(known)}")


def _follow(client: Client, printed: Printed, names: Sequence[str]) -> None:
    """Goes on with each push of the meters; they say when a node has another process, which prints to another file."""
    nodes: Mapping[str, NodeLedger] = client.ledger().nodes
    pids: list[int | None] = []
    with client.subscribe([METERS], FOLLOW_MS) as meters:
        while not meters.ended:
            push = meters.take(QUIET_S)
            if push is not None and isinstance(push.data, Meters):
                now = [node.pid for node in push.data.nodes.values()]
                if now != pids:
                    nodes, pids = client.ledger().nodes, now
            printed.show(nodes, names)
    warn("the pipeline has ended")


def _run(which: str | None) -> Path:
    try:
        return runtime.attach(which).path
    except PipelineError as error:
        raise ControlError(str(error)) from error


class Printed:
    """What processes printed since the last call, node by node."""

    def __init__(self, run: Path, *, prefix: bool) -> None:
        self._run, self._prefix = run, prefix
        self._read: dict[str, int] = {}  # bytes of each file that were shown

    def show(self, nodes: Mapping[str, NodeLedger], names: Sequence[str]) -> None:
        """Prints what is new."""
        for name in names:
            file = nodes[name].printed if name in nodes else ""
            for line in self._new_lines(file) if file else ():
                write(f"{name} | {printable(line)}" if self._prefix else printable(line))

    def _new_lines(self, file: str) -> list[str]:
        data, start = read_from(self._run / Path(file).name, self._read.get(file, 0))
        whole = data[: data.rfind(b"\n") + 1] if self._read.get(file) or b"\n" in data else data
        self._read[file] = start + len(whole)
        return whole.decode(errors="replace").splitlines()
