"""What `doctor` says of sound: PortAudio, sound servers, cards, devices."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from audio_pipeline.doctor_finding import Finding, install
from audio_pipeline.errors import DeviceError


def sound() -> Iterator[Finding]:
    """PortAudio, a sound server or card, and the devices that come of them."""
    from audio_pipeline.cli_host import sound_devices

    server = sound_server()
    cards = sound_cards()
    try:
        devices = sound_devices()
    except DeviceError as error:
        if "PortAudio" in str(error):
            yield Finding("could", "PortAudio", "not installed: no capture, no playback", install("libportaudio2"))
        else:
            yield Finding("ok", "PortAudio", "installed")
        devices = []
    else:
        yield Finding("ok", "PortAudio", "installed")
    detail = ", ".join(filter(None, [server, *cards]))
    if not detail:
        yield Finding(
            "could",
            "sound",
            "neither a sound server nor a card: pipelines run, but silently",
            f"{install('pulseaudio')} && pulseaudio --start",
        )
    else:
        yield Finding("ok", "sound", detail)
    if server and not any(name in device["name"] for device in devices for name in ("pulse", "pipewire", "default")):
        yield Finding("could", "ALSA plugin", f"PortAudio does not see {server}", install("libasound2-plugins"))
    inputs = [device["name"] for device in devices if device["max_input_channels"]]
    outputs = [device["name"] for device in devices if device["max_output_channels"]]
    if devices:
        yield Finding(
            "ok",
            "devices",
            f"{len(inputs)} to capture from, {len(outputs)} to play to (audio-pipeline devices)",
        )


def sound_server() -> str:
    """The sound server whose socket is there, or nothing."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    places = {"PipeWire": folder / "pipewire-0", "PulseAudio": folder / "pulse/native"}
    named = "PulseAudio" if os.environ.get("PULSE_SERVER") else ""
    return named or next((name for name, path in places.items() if path.exists()), "")


def sound_cards() -> list[str]:
    """ALSA's cards."""
    path = Path("/proc/asound/cards")
    text = path.read_text(errors="replace") if path.exists() else ""
    return re.findall(r"^\s*\d+ \[.*?\]: .*? - (.+)$", text, re.MULTILINE)
