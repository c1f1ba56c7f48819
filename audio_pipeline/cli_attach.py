"""Commands that attach to a running pipeline: `top`, `set`, `stop` and the transport."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from audio_pipeline import runtime
from audio_pipeline.cli_text import assignment
from audio_pipeline.control import ControlClient
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.report import credit
from audio_pipeline.view import View, fits_terminal, follow
from audio_pipeline.view_keys import heard


@contextmanager
def attached(which: str | None) -> Iterator[ControlClient]:
    """A client of the pipeline called `which`, or of the only one that runs. Raises ControlError."""
    client = ControlClient.attach(which)
    try:
        yield client
    finally:
        client.close()


def top(args: argparse.Namespace) -> int:
    """The terminal view of a pipeline that runs elsewhere; q leaves it running."""
    with attached(args.pipeline) as client:
        try:
            if fits_terminal():
                View(client, title=credit).run(ended=lambda: False)
            else:
                follow(client, _sleep, sys.stdout)
        except ControlError:
            if _runs(args.pipeline):
                raise
            print("the pipeline has ended")
    return 0


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
    """Sets live values and says when each is heard."""
    wanted = [assignment(text) for text in args.assignments]
    with attached(args.pipeline) as client:
        for node, name, value in wanted:
            print(f"{node}.{name} = {value}{heard(client.set(node, name, value))}")
    return 0


def stop(args: argparse.Namespace) -> int:
    """Ends a pipeline as q does."""
    with attached(args.pipeline) as client:
        client.stop()
    return 0


def transport(args: argparse.Namespace) -> int:
    """play, pause, seek, next or loop."""
    given = {"seek": ("seconds",), "loop": ("on",)}.get(args.command, ())
    words = {name: getattr(args, name) for name in given}
    if "on" in words:
        words["on"] = words["on"] == "on"
    with attached(args.pipeline) as client:
        client.transport(args.node or _only_song(client), args.command, **words)
    return 0


def _only_song(client: ControlClient) -> str:
    songs = list(client.state()["transport"])
    if len(songs) != 1:
        raise ControlError(
            f"expected --node, one of {', '.join(songs)}" if songs else "nothing here can be played or paused"
        )
    return str(songs[0])
