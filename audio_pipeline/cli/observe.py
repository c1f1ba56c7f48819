"""`audio-pipeline metrics` and `audio-pipeline logs`: the numbers and the output of a running pipeline."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audio_pipeline.cli.attach import attached, until_it_ends
from audio_pipeline.errors import ControlError, PipelineError, nearest
from audio_pipeline.host import runtime
from audio_pipeline.host.log_ring import read_from
from audio_pipeline.terminal import printable, write

FOLLOW_S = 0.25


def metrics(args: argparse.Namespace) -> int:
    """The metrics once, for a file that another exporter serves, or for a person."""
    from audio_pipeline.observe.prometheus import text_of

    with attached(args.pipeline) as client:
        write(text_of(client.state()).decode().rstrip("\n"))
    return 0


def logs(args: argparse.Namespace) -> int:
    """What nodes printed, from the files of the running pipeline."""
    run = _run(args.pipeline)
    with attached(args.pipeline) as client, until_it_ends(args.pipeline):
        state = client.state()
        if args.node is not None and args.node not in state["nodes"]:
            known = state["nodes"]
            raise ControlError(f"unknown node {args.node!r}{nearest(args.node, known)}; known are {', '.join(known)}")
        names = [args.node] if args.node else list(state["nodes"])
        reader = Printed(run, prefix=args.node is None)
        if args.node is None:
            write(*map(printable, state["log"]))
        reader.show(state, names)
        while args.follow:
            time.sleep(FOLLOW_S)
            reader.show(client.state(), names)
    return 0


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

    def show(self, state: Mapping[str, Any], names: list[str]) -> None:
        """Prints what is new."""
        for name in names:
            file = state["nodes"][name].get("printed", "") if name in state["nodes"] else ""
            for line in self._new_lines(file) if file else ():
                write(f"{name} | {printable(line)}" if self._prefix else printable(line))

    def _new_lines(self, file: str) -> list[str]:
        data, start = read_from(self._run / Path(file).name, self._read.get(file, 0))
        whole = data[: data.rfind(b"\n") + 1] if self._read.get(file) or b"\n" in data else data
        self._read[file] = start + len(whole)
        return whole.decode(errors="replace").splitlines()
