"""Commands that attach to a running pipeline: `view`, `top`, `set`, `stop` and the transport."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TypeGuard

from audio_pipeline.control.client import Client
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.host import runtime
from audio_pipeline.report.document import credit
from audio_pipeline.run.assignment import assignment
from audio_pipeline.terminal import warn, write
from audio_pipeline.view.keys import effect_of
from audio_pipeline.view.top import Top, write_json, write_once
from audio_pipeline.view.view import View, fits_terminal, follow


@contextmanager
def attached(which: str | None) -> Iterator[Client]:
    """A client of the pipeline called `which`, or of the only one that runs. Raises ControlError."""
    if is_elsewhere(which):
        from audio_pipeline.gateway.control import connect

        client: Client = connect(which)
    else:
        client = Client.attach(which)
    try:
        yield client
    finally:
        client.close()


def view(args: argparse.Namespace) -> int:
    """The terminal view of a pipeline that runs elsewhere; q leaves it running."""
    with attached(args.pipeline) as client, until_it_ends(args.pipeline):
        if fits_terminal():
            View(client, title=credit).run(ended=lambda: False)
        else:
            follow(client, _sleep, sys.stdout)
    return 0


def top(args: argparse.Namespace) -> int:
    """What each node and path does, on a screen; once, or as JSON lines, for scripts."""
    with ExitStack() as stack:
        client = stack.enter_context(attached(args.pipeline))
        stack.enter_context(until_it_ends(args.pipeline))
        top_view = stack.enter_context(closing(Top(client, args.sort, args.interval)))
        if not (args.once or args.json) and fits_terminal():
            top_view.run(args.interval)
            return 0
        top_view.refresh_twice(args.interval)
        _write(top_view, json=args.json)
        while not args.once:
            time.sleep(args.interval)
            top_view.refresh()
            _write(top_view, json=args.json)
    return 0


def _write(top: Top, *, json: bool) -> None:
    if json:
        write_json(top, sys.stdout)
    else:
        write_once(top, shutil.get_terminal_size((120, 24)).columns, sys.stdout)


@contextmanager
def until_it_ends(which: str | None) -> Iterator[None]:
    """A pipeline that ends while it is being watched is no error."""
    try:
        yield
    except ControlError:
        if is_elsewhere(which) or _runs(which):  # of another host nobody here knows whether it ended
            raise
        warn("the pipeline has ended")


def is_elsewhere(which: str | None) -> TypeGuard[str]:
    """Whether a pipeline is named by the address of another host."""
    return which is not None and which.startswith("tcp://")


def _runs(which: str | None) -> bool:
    try:
        runtime.attach(which)
    except PipelineError:
        return False
    return True


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def change(args: argparse.Namespace) -> int:
    """Sets live values and reports when each is audible."""
    wanted = [assignment(text) for text in args.assignments]
    with attached(args.pipeline) as client:
        for node, name, value, typed in wanted:
            write(f"{node}.{name} = {typed}{effect_of(client.set(node, name, value, typed=typed))}")
    return 0


def stop(args: argparse.Namespace) -> int:
    """Ends a pipeline as q does."""
    with attached(args.pipeline) as client:
        client.stop()
    return 0


def transport(args: argparse.Namespace) -> int:
    """play, pause, seek, next or loop."""
    given = {"seek": ("seconds",), "loop": ("on",)}.get(args.command, ())
    arguments = {name: getattr(args, name) for name in given}
    if "on" in arguments:
        arguments["on"] = arguments["on"] == "on"
    with attached(args.pipeline) as client:
        client.transport(args.node or _only_song(client), args.command, **arguments)
    return 0


def _only_song(client: Client) -> str:
    songs = list(client.meters().transport)
    if len(songs) != 1:
        raise ControlError(
            f"expected --node, one of {', '.join(songs)}" if songs else "nothing here can be played or paused"
        )
    return songs[0]
