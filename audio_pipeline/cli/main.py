"""The command `audio-pipeline`."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

from audio_pipeline.cli.grammar import make_parser
from audio_pipeline.errors import ConfigError, PipelineError, nearest
from audio_pipeline.terminal import abandon, is_gone, mend, warn

CANCELLED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code: 0, or that of the error's class.

    A first argument that is a pipeline file instead of a command means `run`.
    """
    _mend_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    try:
        return _flushed([argument for argument in arguments if argument != "--debug"])
    except PipelineError as error:
        if debug:
            raise
        warn(f"audio-pipeline: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return CANCELLED
    except (OSError, EOFError) as error:
        if debug or not (is_gone(error) or error.args[:1] == (errno.ENOSPC,)):
            raise
        return _unread(error)


def _unread(error: Exception) -> int:
    """`audio-pipeline nodes | head` has seen enough; a terminal was closed; standard output's disk is full."""
    abandon(sys.stdout)
    if not is_gone(error):
        warn(f"audio-pipeline: standard output: {error}")
        return PipelineError.exit_code
    return 128 + (signal.SIGPIPE if isinstance(error, BrokenPipeError) else signal.SIGHUP)


def _mend_streams() -> None:
    """Standard streams that are closed (`>&-`) lead nowhere; no other file gets their numbers; all can be written."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))
        try:
            os.fstat(number)
        except OSError:
            os.dup2(getattr(sys, name).fileno(), number)
    mend(sys.stdout)
    mend(sys.stderr)


def _flushed(arguments: list[str]) -> int:
    """As `_dispatch`, with the text of --help written out while an error of that can still be reported."""
    try:
        return _dispatch(arguments)
    except SystemExit:
        sys.stdout.flush()
        raise


def _dispatch(arguments: list[str]) -> int:
    parser, commands = make_parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        if not _is_config(arguments[0]):
            known = ", ".join(commands)
            raise ConfigError(f"unknown command {arguments[0]!r}{nearest(arguments[0], commands)}; known: {known}")
        arguments = ["run", *arguments]
    args = parser.parse_args(arguments)
    if not arguments:
        parser.print_help()
        return 0
    module, _, name = args.function.partition(":")
    ending = [signal.SIGTERM]
    ending += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []  # nohup
    before = [signal.signal(number, _leave) for number in ending]
    try:
        with _forkserver() if module == "run" else nullcontext():
            function: Callable[[argparse.Namespace], int] = getattr(import_module(f"audio_pipeline.cli.{module}"), name)
            return function(args)
    finally:
        for number, handler in zip(ending, before, strict=True):
            signal.signal(number, handler)


def _forkserver() -> AbstractContextManager[None]:
    """Imports what the nodes need, while this process imports what it needs itself."""
    from audio_pipeline.supervisor.forkserver_process import early_forkserver

    return early_forkserver()


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that the terminal is put back and files are closed."""
    raise SystemExit(128 + number)


def _is_config(argument: str) -> bool:
    """Whether a first argument names a pipeline rather than a mistyped command."""
    from audio_pipeline.graph.load import bundled

    return Path(argument).suffix in (".yaml", ".yml") or "/" in argument or (bundled() / f"{argument}.yaml").is_file()
