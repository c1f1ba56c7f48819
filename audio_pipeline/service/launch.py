"""Starts the process of a session, and ends one by its lock's owner: whoever started it may be long gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.lock import LOCK, owner_of
from audio_pipeline.host.processes import is_same
from audio_pipeline.host.strays import MARK
from audio_pipeline.service.session.folder import SessionFolder
from audio_pipeline.worker.scheduling import SPARE

MODULE = "audio_pipeline.service.session.main"
NOT_INHERITED = (MARK, SPARE)  # a session belongs to no pipeline


def start_session(folder: SessionFolder) -> subprocess.Popen[bytes]:
    """In a process session of its own, without any descriptor of ours. Raises PipelineError."""
    environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    try:
        with folder.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", MODULE, str(folder.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                env=environment,
            )
    except OSError as error:
        raise PipelineError(f"session {folder.id} cannot be started: {error.strerror or error}") from error


def end_session(folder: SessionFolder) -> bool:
    """Asks it to end cleanly; False where no such process lives here."""
    owner = owner_of(folder.path / LOCK)
    if owner is None or not is_same(*owner):
        return False
    with suppress(ProcessLookupError):
        os.kill(owner[0], signal.SIGTERM)
        return True
    return False
