"""`audio-pipeline devices` and `audio-pipeline models`: what lies on this host beside the code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from audio_pipeline.cli_text import columns
from audio_pipeline.errors import DeviceError, PipelineError


def devices(args: argparse.Namespace) -> int:
    """Lists the sound devices; an index or any part of a name can stand in `device:`."""
    found = sound_devices()
    print("\n".join(device_lines(found)))
    return 0


def sound_devices() -> list[Mapping[str, Any]]:
    """The devices as PortAudio knows them. Raises DeviceError where it is missing or there are none."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(f"PortAudio is not installed ({error}); audio-pipeline doctor says how to get it") from error
    found: list[Mapping[str, Any]] = list(sounddevice.query_devices())
    if not found:
        raise DeviceError("no sound device found; audio-pipeline doctor says what may be missing")
    default = sounddevice.default.device
    return [{**device, "default_in": i == default[0], "default_out": i == default[1]} for i, device in enumerate(found)]


def device_lines(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """A table of devices; * marks the ones used when none is named."""
    head = ("", "device", "in", "out", "Hz", "latency, ms")
    rows = [
        (
            str(i),
            device["name"],
            f"{device['max_input_channels']}{'*' if device['default_in'] else ' '}",
            f"{device['max_output_channels']}{'*' if device['default_out'] else ' '}",
            f"{device['default_samplerate']:.0f}",
            _latency(device),
        )
        for i, device in enumerate(found)
    ]
    return [*columns([head, *rows], right=[0, 2, 3, 4, 5], indent=""), "* used when no device is named"]


def _latency(device: Mapping[str, Any]) -> str:
    sides = (
        ("max_input_channels", "default_low_input_latency"),
        ("max_output_channels", "default_low_output_latency"),
    )
    return " / ".join(f"{1000 * device[latency]:.0f}" for channels, latency in sides if device[channels])


def models(args: argparse.Namespace) -> int:
    """Lists, fetches or verifies weights; the code is that of the first that failed."""
    from audio_pipeline.models import weights

    names = [weights.asset(name).name for name in args.names]
    if args.action == "list":
        chosen = [state for state in weights.status() if not names or state.asset.name in names]
        rows = [(state.asset.name, _where(state), state.asset.licence, state.asset.what) for state in chosen]
        print("\n".join(columns([("name", "here", "licence", "what"), *rows], indent="")))
        return 0
    here = [state.asset.name for state in weights.status() if state.folder or args.action == "fetch"]
    act = weights.fetch if args.action == "fetch" else weights.verify
    return _each(names or here, act)


def _where(state: Any) -> str:
    return f"{state.place}, {state.bytes / 1e6:.1f} MB" if state.place else "no"


def _each(names: Iterable[str], act: Any) -> int:
    code = 0
    for name in names:
        try:
            folder = act(name)
            print(f"{name}: {folder or 'as it should be'}", flush=True)
        except PipelineError as error:
            print(f"audio-pipeline: {error}", file=sys.stderr)
            code = code or error.exit_code
    return code
