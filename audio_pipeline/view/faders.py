"""Faders of a mixer, read off a node's settings."""

from __future__ import annotations

from dataclasses import dataclass

from audio_pipeline.control.snapshots import NodeDescription
from audio_pipeline.control.state import Status

VOICE = ("vocals", "voice", "mic")  # the input that the keys move: the first of these, else the mixer's first


@dataclass(frozen=True)
class Target:
    """A fader that the keys move."""

    node: str
    input: str


@dataclass(frozen=True)
class Fader:
    """One input of a mixer."""

    input: str
    gain_db: float = 0.0
    mute: bool = False
    solo: bool = False


def faders(node: NodeDescription) -> list[Fader]:
    """One for each input that has settings."""
    return [
        Fader(
            name,
            float(values.get("gain_db", 0.0)),
            bool(values.get("mute", False)),
            bool(values.get("solo", False)),
        )
        for name, values in node.settings.get("inputs", {}).items()
    ]


def fader_at(status: Status, target: Target) -> Fader:
    """The one that is meant, as it stands now."""
    return next(fader for fader in faders(status.description.nodes[target.node]) if fader.input == target.input)


def fader_target(status: Status) -> Target | None:
    """The fader that the keys move: the voice of the first node whose inputs have one."""
    for name, node in status.description.nodes.items():
        parts = [live.split(".") for live in node.live]
        inputs = [part[1] for part in parts if len(part) == 3 and part[0] == "inputs" and part[2] == "gain_db"]
        if inputs:
            return Target(name, next((wanted for wanted in VOICE if wanted in inputs), inputs[0]))
    return None
