"""`audio-pipeline devices` and `audio-pipeline models`: what lies on this host beside the code."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from audio_pipeline.cli.text import columns
from audio_pipeline.devices.sound import Device, list_devices
from audio_pipeline.errors import DeviceError, PipelineError
from audio_pipeline.graph.load import bundled, load
from audio_pipeline.terminal import warn, write


def devices(args: argparse.Namespace) -> int:
    """Lists the sound devices; an index or any part of a name can stand in `device:`."""
    found = list_devices()
    if not found:
        raise DeviceError("this host has no sound device; audio-pipeline doctor lists possible causes")
    write(*device_lines(found))
    return 0


def device_lines(found: Iterable[Device]) -> list[str]:
    """A table of devices; * marks the ones used when none is named."""
    head = ("", "device", "through", "in", "out", "Hz")
    rows = [
        (
            str(device.index),
            device.name,
            device.host_api,
            f"{device.inputs}{'*' if device.is_default_input else ' '}",
            f"{device.outputs}{'*' if device.is_default_output else ' '}",
            str(device.rate),
        )
        for device in found
    ]
    return [*columns([head, *rows], right=[0, 3, 4, 5], indent=""), "* used when no device is named"]


def models(args: argparse.Namespace) -> int:
    """Lists, fetches or verifies weights; the code is that of the first that failed."""
    from audio_pipeline.models.weights import store

    names = [store.asset(name).name for name in args.names]
    if args.action == "list":
        chosen = [state for state in store.status() if not names or state.asset.name in names]
        rows = [(state.asset.name, _where(state), state.asset.licence, state.asset.what) for state in chosen]
        write(*columns([("name", "here", "licence", "what"), *rows], indent=""))
        return 0
    if args.action == "fetch":
        return _each(names or (list(store.REGISTRY) if args.all else _of_bundled()), store.fetch)
    return _each(names or [state.asset.name for state in store.status() if state.folder], store.verify)


def _of_bundled() -> list[str]:
    """What the bundled pipelines need as they stand, in the registry's order."""
    from audio_pipeline.models.weights import store

    graphs = [load(file) for file in sorted(bundled().glob("*.yaml"))]
    needed = {name for graph in graphs for spec in graph.nodes.values() for name in spec.cls.assets(spec.settings)}
    return [name for name in store.REGISTRY if name in needed]


def _where(state: Any) -> str:
    return f"{state.place}, {state.bytes / 1e6:.1f} MB" if state.place else "no"


def _each(names: Iterable[str], act: Any) -> int:
    code = 0
    for name in names:
        try:
            folder = act(name)
            write(f"{name}: {folder or 'as it should be'}")
        except PipelineError as error:
            warn(f"audio-pipeline: {error}")
            code = code or error.exit_code
    return code
