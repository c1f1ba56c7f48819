"""Metrics and logs: what `run` offers for them, and the commands `metrics` and `logs`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audio_pipeline.cli.attach import attached, until_it_ends
from audio_pipeline.errors import ControlError, PipelineError, nearest
from audio_pipeline.graph.load import Graph
from audio_pipeline.host import runtime
from audio_pipeline.host.log_ring import read_from
from audio_pipeline.observe.exporter import Endpoint, parse_address
from audio_pipeline.observe.journal import Journal, open_log
from audio_pipeline.supervisor.helper import Helper
from audio_pipeline.terminal import printable, warn, write

if TYPE_CHECKING:
    from audio_pipeline.supervisor.supervisor import Supervisor

FOLLOW_S = 0.25


def logs_on_screen(args: argparse.Namespace) -> bool:
    """Whether events go to standard output, where the view would be."""
    return args.log_format is not None and args.log_file is None


@contextmanager
def observed(graph: Graph, supervisor: Supervisor, args: argparse.Namespace) -> Iterator[None]:
    """Metrics and a log for as long as the pipeline runs. Raises PipelineError for what cannot be had."""
    with ExitStack() as stack:
        if args.log_format is not None or args.log_file is not None:
            out = stack.enter_context(open_log(args.log_file)) if args.log_file else sys.stdout
            form = args.log_format or ("json" if args.log_file.suffix in (".json", ".jsonl") else "text")
            supervisor.listeners.append(_Late(supervisor, out, form))
        where = args.metrics or graph.top.metrics
        if where:
            endpoint = Endpoint(parse_address(where))
            stack.callback(endpoint.close)
            supervisor.helpers.append(_metrics_helper(supervisor, endpoint))
            warn(f"audio-pipeline: {endpoint.said}")
        yield


class _Late:
    """A journal that knows the run's name and token once there is a run."""

    def __init__(self, supervisor: Supervisor, out: Any, form: str) -> None:
        self._supervisor, self._out, self._form = supervisor, out, form
        self._journal: Journal | None = None

    def __call__(self, event: Mapping[str, Any]) -> None:
        if self._journal is None:
            run = self._supervisor.run_dir
            name = self._supervisor.graph.name
            self._journal = Journal(self._out, self._form, pipeline=name, run=run.name, secrets=(run.token,))
        self._journal(event)


def _metrics_helper(supervisor: Supervisor, endpoint: Endpoint) -> Helper:
    """The process that answers scrapes."""

    def words() -> Mapping[str, Any]:
        return {**supervisor.access, "bearer": endpoint.bearer}

    return Helper("metrics", "audio_pipeline.control.metrics_process", words, [endpoint.socket.fileno()])


def metrics(args: argparse.Namespace) -> int:
    """The metrics once, for a file that another exporter serves, or for a look."""
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
    """What processes printed since the last look, node by node."""

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
