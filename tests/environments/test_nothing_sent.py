"""Nothing goes to the internet that the user did not ask for: each command and each bundled pipeline, under strace.

The namespace has nothing but a loopback interface, so that what is tried fails; strace shows that it was tried.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from audio_pipeline.models.weights import store
from tests.environments.traced import Traced, needs_tools, traced
from tests.shared import ROOT

RATE = 16_000
COMMANDS: dict[str, tuple[str, ...]] = {
    "doctor": (),
    "devices": (),
    "nodes": ("separate",),
    "models": ("verify", "silero-vad"),
    "check": ("karaoke",),
    "keys": ("list",),
    "leftovers": (),
    "takes": (),
    "voices": ("list",),
    "detect": ("tone.wav",),
    "say": ("Hello.", "-o", "hello.wav"),
}
NEEDS = {
    "doctor": (),
    "devices": (),
    "nodes": (),
    "models": ("silero-vad",),
    "check": ("spleeter-2stems", "demo-song"),
    "keys": (),
    "leftovers": (),
    "takes": (),
    "voices": (),
    "detect": ("perth",),
    "say": ("perth",),
    "clean_speech": ("deepfilternet",),
    "karaoke": ("spleeter-2stems", "demo-song"),
    "karaoke_browser": ("spleeter-2stems", "demo-song"),
    "mic_stems": ("spleeter-2stems",),
    "passthrough": ("demo-song",),
    "speech_browser": ("deepfilternet", "demo-song"),
    "stems4_browser": ("spleeter-4stems", "demo-song"),
    "stems_browser": ("spleeter-2stems", "demo-song"),
    "speak": ("perth",),
    "speak_over_music": ("spleeter-2stems", "demo-song", "perth"),
    "stems": ("spleeter-2stems", "demo-song"),
    "studio": ("demo-song",),
    "vad": ("silero-vad",),
    "voice_clone": ("silero-vad", "ge2e", "kokoro", "perth"),
    "voice_convert": ("ge2e", "perth"),
}
PIPELINES = sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
SETS = {
    "studio": ("gateway.curve=false", "gateway.listen=127.0.0.1:0"),
    "vad": ("voice.path=tone.wav",),
}
CARD = {
    "clean_speech",
    "mic_stems",
    "passthrough",
    "voice_convert",
}  # end with a sentence where the host has no sound card


def needs(what: str) -> None:
    missing = [name for name in NEEDS[what] if store.locate(name).folder is None]
    if missing:
        pytest.skip(f"weights are not here (audio-pipeline models fetch {' '.join(missing)})")
    needs_tools()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a second of a tone."""
    tone = 0.1 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)
    soundfile.write(tmp_path / "tone.wav", tone, RATE)
    return tmp_path


def assert_silent(done: Traced, *, ours: str = "") -> None:
    """No internet socket, and nothing queued for later; `ours` is the kind that the user asked for."""
    assert [call for call in done.internet if not ours or ours not in call] == []
    assert done.left.isdisjoint({"Microsoft", "intel"})


def test_the_trace_sees_what_it_is_for(folder: Path) -> None:
    """A node that asks for an internet socket is found out, in whatever process it is loaded."""
    needs_tools()
    (folder / "nodes").mkdir()
    (folder / "nodes" / "caller.py").write_text("import socket\nsocket.socket(socket.AF_INET)\nNODE = None\n")
    (folder / "p.yaml").write_text("version: 1\nnode_paths: [nodes]\nnodes: {a: {kind: caller}}\n")
    assert traced("check", "p.yaml", folder=folder).internet


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_asks_for_no_internet_socket(command: str, folder: Path) -> None:
    needs(command)
    done = traced(command, *COMMANDS[command], folder=folder)
    assert "Traceback" not in done.output
    assert_silent(done)


@pytest.mark.slow
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_bundled_pipeline_asks_for_no_internet_socket(pipeline: str, folder: Path) -> None:
    needs(pipeline)
    sets = [word for item in SETS.get(pipeline, ()) for word in ("--set", f"nodes.{item}")]
    done = traced("run", pipeline, "--no-view", "--duration", "1", "--folder", "take", *sets, folder=folder)
    assert done.code == 0 or pipeline in CARD and "this host has no sound" in done.output, done.output
    assert_silent(done, ours="SOCK_STREAM" if pipeline == "studio" else "")


def test_every_bundled_pipeline_is_tried() -> None:
    assert set(PIPELINES) <= set(NEEDS)
