"""`audio-pipeline run`: starts a pipeline, shows it, and leaves a report."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from audio_pipeline.cli.observer import Wait, run_to_end, write_if_read
from audio_pipeline.control.client import Client
from audio_pipeline.control.state import Status
from audio_pipeline.host.parent import adopting_orphans
from audio_pipeline.report.document import credit
from audio_pipeline.run.options import Options
from audio_pipeline.run.pipeline import Pipeline
from audio_pipeline.run.result import Result
from audio_pipeline.terminal import printable, warn
from audio_pipeline.view.text import content_s
from audio_pipeline.view.view import View, fits_terminal, follow
from audio_pipeline.view.watch import ScreenWatch

PROGRESS_S = 0.2
KEEP_LINES = 20


def run(args: argparse.Namespace) -> int:
    """Runs a pipeline to its end and returns the exit code of whatever ended it."""
    pipeline = Pipeline.load(
        args.config,
        args.sets,
        Options(
            offline=args.offline,
            duration_s=args.duration,
            folder=args.folder,
            at=args.at,
            metrics=args.metrics or "",
            log=args.log_file or (sys.stdout if args.log_format else None),
            log_format=args.log_format,
        ),
    )
    pipeline.fetch()  # before the signals mean the pipeline: Ctrl-C ends a download
    with adopting_orphans():
        shown = run_to_end(pipeline, lambda: _show(pipeline, args))
    if pipeline.error is None:
        for line in lines_after(_log(pipeline), shown):
            warn(f"audio-pipeline: {printable(line)}")
    _name_files(pipeline.result)
    return pipeline.exit_code


def _log(pipeline: Pipeline) -> Sequence[str]:
    """Of a run that has ended."""
    final = pipeline.supervisor.final_state()
    return final.ledger.log if final is not None else ()


def _show(pipeline: Pipeline, args: argparse.Namespace) -> str:
    if pipeline.metrics_notice:
        warn(f"audio-pipeline: {pipeline.metrics_notice}")
    log_on_screen = args.log_format is not None and args.log_file is None
    return show(pipeline.client, pipeline.wait, offline=args.offline, view=not args.no_view, log=log_on_screen)


def show(client: Client, wait: Wait, *, offline: bool, view: bool, log: bool = False) -> str:
    """The view, the progress bar or log lines, until the pipeline ends or somebody ends it.

    Returns the last message of the pipeline's log that stays on the screen, empty for none. A supervisor that is slow
    to answer ends nothing: it is a thread of this process, and its end is known without an answer.
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


def lines_after(log: Sequence[str], shown: str) -> list[str]:
    """The lines of a log after the last one that was shown.

    >>> lines_after(["mic is left out", "split died", "split is back"], "split died")
    ['split is back']
    """
    after = next((i for i in range(len(log), 0, -1) if log[i - 1] == shown), 0)
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
    with closing(ScreenWatch(client, patience_s=math.inf)) as watch, Progress(*columns) as bar:
        task = bar.add_task("offline", total=1.0, speed="")
        while not wait(PROGRESS_S):
            state = watch.refresh()
            if state is not None:
                name = printable(state.description.name)
                bar.update(task, description=name, completed=state.meters.progress, speed=speed_text(state))
        bar.update(task, completed=1.0)


def speed_text(status: Status) -> str:
    """How many times real time an offline run goes."""
    uptime_s = status.meters.uptime_s
    return f"{content_s(status) / uptime_s:.1f}x real time" if uptime_s > 1 else ""


def _name_files(result: Result | None) -> None:
    """The files that the run wrote; a report that failed is one sentence, and changes no exit code."""
    if result is None:
        return
    write_if_read(*[f"wrote {short(track)}" for track in result.tracks])
    if result.report is not None:
        write_if_read(f"wrote {short(result.report)}")
    elif result.report_error:
        warn(f"audio-pipeline: no report in {result.folder}: {result.report_error}")


def short(path: Path) -> Path:
    """A path relative to the working directory where it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
