"""A runtime folder of the test's own, whose services end with their last user."""

from __future__ import annotations

import os
import select
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_pipeline.serving.service import LINGER
from tests.leftovers import processes
from tests.patience import PATIENCE_S


def wait_for_end(pid: int) -> None:
    """Until a process is gone, child or not, or a zombie."""
    try:
        number = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(number, select.POLLIN)
    assert poller.poll(PATIENCE_S * 1000), f"process {pid} has not ended"
    os.close(number)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short path, since sockets lie in it. At the end no process of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="ap-"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv(LINGER, "0")
    yield folder
    for line in processes(folder):
        wait_for_end(int(line.split()[0]))
    shutil.rmtree(folder)
