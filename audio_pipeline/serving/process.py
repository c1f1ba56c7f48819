"""The process of a service, from its start to its end: a daemon that nobody waits for and that ends by itself."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from audio_pipeline.errors import PipelineError
from audio_pipeline.serving.service import LOG, Tenure

MOST_TASK_BYTES = 1 << 20

Serve = Callable[[Tenure, Mapping[str, Any], Callable[[], None]], None]


def run_service(serve: Serve) -> int:
    """Entry point of a service: `python -m MODULE FOLDER`, its task as JSON on standard input.

    The process leaves its parent, takes the lock and calls `serve(tenure, task, ready)`; `ready` tells the one who
    started it. A line of JSON goes to standard output in any case, then the log takes the place of it.
    """
    folder = Path(sys.argv[1])
    task = json.loads(sys.stdin.buffer.read(MOST_TASK_BYTES))
    if os.fork():
        os._exit(0)  # its child belongs to init or to the subreaper above, which collects it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    tenure = Tenure.begin(folder)
    if tenure is None:
        _answer(folder, {})
        return 0
    try:
        serve(tenure, task, lambda: _ready(folder, tenure))
    except PipelineError as error:
        _answer(folder, {"error": str(error)})
        return error.exit_code
    except Exception as error:
        _answer(folder, {"error": f"{type(error).__name__}: {error}"})
        raise
    finally:
        tenure.end()
    return 0


def _ready(folder: Path, tenure: Tenure) -> None:
    tenure.publish()
    _answer(folder, {})


def _answer(folder: Path, answer: Mapping[str, Any]) -> None:
    """Once: afterwards standard output is the log."""
    if not os.isatty(1) and _is_pipe(1):
        os.write(1, json.dumps(dict(answer)).encode() + b"\n")
        log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.close(log)


def _is_pipe(number: int) -> bool:
    import stat

    return stat.S_ISFIFO(os.fstat(number).st_mode)
