"""The checks of sound: PortAudio, sound servers, cards, devices."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from audio_pipeline.devices.sound import Kind, list_devices
from audio_pipeline.doctor.finding import Finding, install
from audio_pipeline.errors import DeviceError

KINDS: tuple[Kind, Kind] = ("input", "output")


def sound() -> Iterator[Finding]:
    """PortAudio, a sound server or card, and the devices that come of them."""
    try:
        devices = list_devices()
    except DeviceError as error:
        yield Finding("could", "PortAudio", f"no capture, no playback: {error}", install("libportaudio2"))
        devices = []
    else:
        yield Finding("ok", "PortAudio", "installed")
    server = sound_server()
    here = ", ".join(filter(None, [server, *sound_cards()]))
    if here:
        yield Finding("ok", "sound", here)
    else:
        start = f"{install('pulseaudio')} && pulseaudio --start"
        yield Finding("could", "sound", "neither a sound server nor a card: pipelines run, but silently", start)
    if server and not any(name in device.name for device in devices for name in ("pulse", "pipewire", "default")):
        yield Finding("could", "ALSA plugin", f"PortAudio does not see {server}", install("libasound2-plugins"))
    if devices:
        inputs, outputs = (sum(device.channels(kind) > 0 for device in devices) for kind in KINDS)
        counts = f"{inputs} to capture from, {outputs} to play to"
        yield Finding("ok", "devices", f"{counts} (audio-pipeline devices)")


def sound_server() -> str:
    """The sound server whose socket is there, or nothing."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    places = {"PipeWire": folder / "pipewire-0", "PulseAudio": folder / "pulse/native"}
    named = "PulseAudio" if os.environ.get("PULSE_SERVER") else ""
    return named or next((name for name, path in places.items() if path.exists()), "")


def sound_cards() -> list[str]:
    """ALSA's cards."""
    path = Path("/proc/asound/cards")
    text = path.read_text(errors="replace", encoding="utf-8") if path.exists() else ""
    return re.findall(r"^\s*\d+ \[.*?\]: .*? - (.+)$", text, re.MULTILINE)
