"""Runs a command under strace, in a network namespace with a loopback interface only; finds its internet sockets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from audio_pipeline.models.weights import store

INTERNET = re.compile(r"socket\((AF_INET6?|AF_PACKET)\b")
UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
ALONE = [*UNSHARE, "--", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]  # loopback, and nothing else


@dataclass(frozen=True)
class Traced:
    """What a command did."""

    code: int
    output: str
    internet: list[str]  # calls that asked for an internet socket
    home: Path

    @property
    def left(self) -> set[str]:
        """Folders and files directly below the cache and the home folder."""
        folders = [folder for folder in (self.home, self.home / ".cache") if folder.is_dir()]
        return {path.name for folder in folders for path in folder.iterdir()}


def needs_tools() -> None:
    """Skips the test where strace is missing or namespaces are not allowed."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    if subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here")


def traced(*command: str, folder: Path, stdin: str = "") -> Traced:
    """Runs `audio-pipeline COMMAND` with an empty home folder and the weights of this host."""
    home, log = folder / "home", folder / "strace"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "HF_", "XDG_", "DO_NOT"))}
    env |= {"HOME": str(home), "AUDIO_PIPELINE_MODELS": str(store.cache_folder())}
    strace = ["strace", "--follow-forks", "--quiet=all", "--trace=socket", f"--output={log}"]
    done = subprocess.run(
        [*ALONE, *strace, sys.executable, "-m", "audio_pipeline", *command],
        cwd=folder,
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    calls = [line for line in log.read_text().splitlines() if INTERNET.search(line)]
    return Traced(done.returncode, done.stdout + done.stderr, calls, home)
