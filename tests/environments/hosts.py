"""Odd hosts for real processes: who runs it, which home and locale it finds, what of the network there is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.leftovers import leftovers
from tests.patience import PATIENCE_S
from tests.shared import ROOT

RATE = 44_100
UID = 12_345  # in no passwd file
# reads whatever root may (the interpreter may lie in root's home), writes nothing but its own
NOBODY = (
    "setpriv",
    f"--reuid={UID}",
    f"--regid={UID}",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)
NO_NETWORK = ("unshare", "--net")  # the loopback interface is there, and down
PROGRAM = str(ROOT / "run_pipeline.py")
FILE = f"""
version: 1
name: twin
rate: {RATE}
nodes:
  song: {{kind: file_source, path: song.wav}}
  rec: {{kind: recorder, subtype: float32, inputs: {{track: {{from: song, policy: block}}}}}}
"""
# many commands in one process: each its words, its exit code, and what it said on either stream
SEVERAL = """
import contextlib, io, json, sys
from audio_pipeline.cli.main import main
for words in json.loads(sys.argv[1]):
    print("$", *words, flush=True)
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    print(f"= {code}", flush=True)
"""


@dataclass
class Host:
    """One odd host: a folder with a song of a second and a pipeline, and how processes run there."""

    folder: Path
    runtime: Path
    prefix: Sequence[str] = ()
    env: dict[str, str | None] = field(default_factory=dict)  # None: not set

    def start(
        self, *words: str | bytes, entry: tuple[str, ...] = (PROGRAM,), **streams: Any
    ) -> subprocess.Popen[bytes]:
        """A process of the program."""
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **streams}
        return subprocess.Popen(
            [*self.prefix, sys.executable, *entry, *words], cwd=self.folder, env=self._environment(), **streams
        )

    def run(self, *words: str | bytes, entry: tuple[str, ...] = (PROGRAM,)) -> tuple[int, str]:
        """Its exit code and all it said; no traceback, and nothing is left of it."""
        process = self.start(*words, entry=entry)
        said = process.communicate(timeout=PATIENCE_S)[0].decode(errors="surrogateescape")
        assert "Traceback" not in said and "Error:" not in said, said
        assert not leftovers(self.runtime)
        return process.returncode, said

    def _environment(self) -> dict[str, str]:
        own = ("XDG_", "LC_", "PYTHON")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        wanted = {**inherited, "XDG_RUNTIME_DIR": str(self.runtime), "PYTHONDONTWRITEBYTECODE": "1", **self.env}
        return {name: value for name, value in wanted.items() if value is not None}

    def recorded(self, take: str | bytes = "take") -> float:
        """Seconds of the recording."""
        with soundfile.SoundFile(os.path.join(os.fsencode(self.folder), os.fsencode(take), b"track.wav")) as file:
            return len(file) / file.samplerate


@contextmanager
def host(folder: Path, prefix: Sequence[str] = (), **env: str | None) -> Iterator[Host]:
    """An odd host whose folder everybody may write to; skips the test where this one allows none."""
    if prefix and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip(f"{prefix[0]} is not allowed here")
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    with tempfile.TemporaryDirectory(prefix="ap-") as place:  # short: socket paths hold 107 characters
        work, runtime = Path(place) / "work", Path(place) / "run"
        for path in (work, runtime):
            path.mkdir()
        soundfile.write(work / "song.wav", np.repeat(tone[:, None], 2, axis=1), RATE)
        (work / "twin.yaml").write_text(FILE)
        if NOBODY[1] in prefix:
            for path in (Path(place), work, runtime):
                os.chown(path, UID, UID)
        yield Host(work, runtime, prefix, env)
