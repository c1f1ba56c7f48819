"""A sound card for tests: a private PulseAudio with a sink into nothing, whose monitor hears what is played.

Needs `pulseaudio`, `libasound2-plugins` and `libportaudio2`; a test that asks for it is skipped without them.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audio_pipeline.devices import sound

RATE = 48000

# What is played to the default sink is what the default source hears.
MODULES = f"""
load-module module-native-protocol-unix socket={{socket}} auth-anonymous=1
load-module module-null-sink sink_name=nothing rate={RATE} channels=2 format=float32le
set-default-sink nothing
set-default-source nothing.monitor
"""

SINK = ("module-null-sink", "sink_name=nothing", f"rate={RATE}", "channels=2", "format=float32le")

# Instead of the system's ALSA configuration: PortAudio then sees this one device, and tries no absent cards.
ASOUND = """
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing() -> str | None:
    """What keeps the sound card from being made, None when nothing does."""
    plugin = any(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so"))
    found = {
        "pulseaudio": shutil.which("pulseaudio"),
        "pulseaudio-utils": shutil.which("pactl"),
        "libportaudio2": ctypes.util.find_library("portaudio"),
        "libasound2-plugins": plugin,
    }
    absent = [name for name, where in found.items() if not where]
    return f"not installed: {', '.join(absent)}" if absent else None


def _pactl(*arguments: str) -> str:
    done = subprocess.run(["pactl", *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout


def unplug() -> None:
    """Pulls the card out of the server whose environment is in force."""
    cards = [line.split()[0] for line in _pactl("list", "short", "modules").splitlines() if SINK[0] in line]
    for card in cards:
        _pactl("unload-module", card)


def plug() -> None:
    """Puts it back."""
    _pactl("load-module", *SINK)
    _pactl("set-default-sink", "nothing")
    _pactl("set-default-source", "nothing.monitor")


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for the libraries of this process and its children, and list devices anew."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    sound.rescan()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        sound.rescan()


@contextmanager
def pulse_server() -> Iterator[dict[str, str]]:
    """Run the daemon; yields the environment in which PortAudio finds it, which is in force meanwhile."""
    with tempfile.TemporaryDirectory(prefix="pulse") as name:
        folder = Path(name)
        socket = folder / "native"
        (folder / "default.pa").write_text(MODULES.format(socket=socket))
        (folder / "asound.conf").write_text(ASOUND)
        values = {
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "PULSE_SERVER": f"unix:{socket}",
            "PULSE_RUNTIME_PATH": name,
            "PULSE_STATE_PATH": name,
            "PULSE_COOKIE": str(folder / "cookie"),
        }
        command = [
            "pulseaudio",
            "-n",
            "-F",
            str(folder / "default.pa"),
            "--daemonize=no",
            "--use-pid-file=no",
        ]
        command += ["--exit-idle-time=-1", "--realtime=no", "--high-priority=no", "--log-target=stderr", "-v"]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env={**os.environ, **values, "HOME": name}
        ) as daemon:
            assert daemon.stderr is not None
            log = []
            for line in daemon.stderr:
                log.append(line)
                if "Daemon startup complete" in line:
                    break
            else:
                pytest.fail(f"pulseaudio did not start: {''.join(log)}")
            try:
                with environment(values):
                    yield values
            finally:
                daemon.terminate()
                daemon.stderr.read()


@pytest.fixture(scope="module")
def pulse() -> Iterator[dict[str, str]]:
    """The sound card for the tests of one module."""
    if reason := missing():
        pytest.skip(reason)
    with pulse_server() as values:
        yield values
