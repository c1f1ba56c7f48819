"""`audio-pipeline run`: starts a pipeline, shows it, and leaves a report."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from audio_pipeline.cli.observe import logs_on_screen, observed
from audio_pipeline.cli.observer import Wait, looked_at, stopping, tell
from audio_pipeline.cli.text import timed_assignment
from audio_pipeline.control.client import Client
from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.load import Graph, load
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.host.file_names import file_name
from audio_pipeline.host.parent import adopting_orphans
from audio_pipeline.report.report import credit, tracks_in, write_report
from audio_pipeline.settings import replaced, value_at
from audio_pipeline.supervisor.supervisor import Supervisor
from audio_pipeline.terminal import printable, warn
from audio_pipeline.view.text import State, content_s
from audio_pipeline.view.view import View, Watch, fits_terminal, follow

PROGRESS_S = 0.2
KEEP_LINES = 20


def run(args: argparse.Namespace) -> int:
    """Runs a pipeline to its end and returns the exit code of whatever ended it."""
    graph = load(args.config, args.sets)
    make_plan(graph, live=not args.offline)  # a budget that cannot hold is said before a folder is made
    fetch_assets(graph)
    with run_folder(args.folder, f"{file_name(graph.name)}-{datetime.now():%Y%m%d-%H%M%S}") as folder:
        supervisor = Supervisor(
            graph,
            offline=args.offline,
            duration_s=args.duration,
            folder=folder,
            schedule=schedule(graph, args.at),
        )
        return _run(graph, supervisor, args)


def _run(graph: Graph, supervisor: Supervisor, args: argparse.Namespace) -> int:
    told = ""
    with adopting_orphans(), stopping(supervisor.stop), observed(graph, supervisor, args):
        supervisor.start()
        client = supervisor.client()
        try:
            told = looked_at(lambda: _show(client, supervisor, args), supervisor.wait)
        finally:
            supervisor.stop()
            client.close()
            supervisor.wait(None)
    if supervisor.error is not None:
        warn(f"audio-pipeline: {supervisor.error}")
    else:
        for line in untold(supervisor.final_state()["log"], told):
            warn(f"audio-pipeline: {printable(line)}")
    _leave_report(graph, supervisor)
    return supervisor.exit_code


@contextmanager
def run_folder(wanted: Path | None, name: str) -> Iterator[Path]:
    """The folder of a run, `takes/<name>` where none is wanted.

    It goes again, with those around it that came meanwhile, where nothing came into it.
    """
    own = Path("takes") / name
    # what cannot be looked at counts as not there: it cannot be taken away either
    new = [path for path in (wanted or own, *(wanted or own).absolute().parents) if not os.path.exists(path)]
    folder = (wanted or new_folder(own)).absolute()
    try:
        yield folder
    finally:
        with suppress(OSError, ValueError):  # it is not empty, or was never made
            for path in new if wanted else (folder, *new[1:]):
                path.rmdir()


def new_folder(path: Path) -> Path:
    """Makes it, with a number behind its name where another run of this second has that one.

    Two runs never get the same; where it cannot be made, the run says why.
    """
    number, free = 1, path
    while True:
        try:
            free.mkdir(parents=True)
        except FileExistsError:
            if not free.is_dir():  # something else is in the way
                return free
        except OSError:
            return free
        else:
            return free
        number += 1
        free = path.with_name(f"{path.name}-{number}")


def fetch_assets(graph: Graph) -> None:
    """Brings the weights and songs that the nodes need, with a bar, before the first process starts."""
    from audio_pipeline.models.weights import weights

    for spec in graph.nodes.values():
        for name in spec.cls.assets(spec.settings):
            weights.fetch(name)


def schedule(graph: Graph, texts: Sequence[str]) -> dict[str, list[list[Any]]]:
    """What `--at` asks for, by node: [position, setting, value]. Raises ConfigError for what is not live."""
    wanted: dict[str, list[list[Any]]] = {}
    for text in texts:
        position, (node, name, value, typed) = timed_assignment(text, graph.rate)
        if node not in graph.nodes:
            raise ConfigError(f"--at {text!r}: unknown node {node!r}; known are {', '.join(graph.nodes)}")
        spec, path = graph.nodes[node], ("nodes", node)
        if name.startswith("inputs."):
            short = name.removeprefix("inputs.")
            found = value_at(replaced(dict(spec.input_settings), short, value, (*path, "inputs"), typed), short)
        else:
            found = value_at(replaced(spec.settings, name, value, path, typed), name)
        wanted.setdefault(node, []).append([position, name, found])
    return wanted


def _show(client: Client, supervisor: Supervisor, args: argparse.Namespace) -> str:
    return show(client, supervisor.wait, offline=args.offline, view=not args.no_view, log=logs_on_screen(args))


def show(client: Client, wait: Wait, *, offline: bool, view: bool, log: bool = False) -> str:
    """The view, the progress bar or log lines, until the pipeline ends or somebody ends it.

    Gives the last message of the pipeline's log that stays on the screen, empty for none. How long it takes to answer
    ends nothing: it is a thread of this process, and its end is known without an answer.
    """
    if log:
        wait(None)
    elif offline and sys.stdout.isatty():
        progress(client, wait)
    elif view and not offline and fits_terminal():
        View(client, title=credit, patience_s=math.inf).run(ended=lambda: wait(0.0))
    else:
        return follow(client, wait, sys.stdout, patience_s=math.inf)
    return ""


def untold(log: Sequence[str], told: str) -> list[str]:
    """The lines of a log after the last one that was told.

    >>> untold(["mic is left out", "split died", "split is back"], "split died")
    ['split is back']
    """
    after = next((i for i in range(len(log), 0, -1) if log[i - 1] == told), 0)
    return list(log[after:][-KEEP_LINES:])


def progress(client: Client, wait: Wait) -> None:
    """A bar for an offline run, with how much faster than real time it goes."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("offline", total=1.0, speed="")
        watch = Watch(client, patience_s=math.inf)
        while not wait(PROGRESS_S):
            state = watch.look()
            if state is not None:
                name = printable(state["name"])
                bar.update(task, description=name, completed=state["progress"], speed=speed_text(state))
        bar.update(task, completed=1.0)


def speed_text(state: State) -> str:
    """How many times real time an offline run goes."""
    return f"{content_s(state) / state['uptime_s']:.1f}x real time" if state["uptime_s"] > 1 else ""


def _leave_report(graph: Graph, supervisor: Supervisor) -> None:
    """The report of a run that got going; where it fails, that is one sentence, and the run is as good as before."""
    state = supervisor.final_state()
    if not state or not state["uptime_s"]:  # it never got going, and the folder may hold an earlier take
        return
    folder, tracks = takes(graph, supervisor.folder, state["run"])
    tell(*[f"wrote {shown(track)}" for track in tracks])
    try:
        report = write_report(folder, state, tracks)
    except Exception as error:  # noqa: BLE001 - the recordings are there, whatever a picture of them dies of
        said = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        warn(f"audio-pipeline: no report in {folder}: {said}")
    else:
        tell(f"wrote {shown(report)}")


def takes(graph: Graph, folder: Path, run: str) -> tuple[Path, list[Path]]:
    """The folder that got the recordings, and those that this run wrote there."""
    own = [getattr(spec.settings, "folder", "") for spec in graph.nodes.values()]
    for candidate in (folder, *[Path(name) for name in own if name]):
        tracks = tracks_in(candidate, run)
        if tracks:
            return candidate, tracks
    return folder, []


def shown(path: Path) -> Path:
    """A path as short as it gets."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
