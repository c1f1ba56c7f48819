"""Two hosts for a proof: a studio that plays a tone, and what another host hears of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from audio_pipeline.keys import Keys

RATE, HZ, LEVEL = 48_000, 440, 0.25
BLOCK = RATE // 100
STEEPEST = 2 * np.pi * HZ / RATE * LEVEL  # the most by which two neighbours of the tone differ

_STUDIO = """
version: 1
name: studio
rate: 48000
nodes:
  song: {{kind: file_source, path: "{tone}", loop: true}}
  voice: {{kind: remote_mic}}
  mix: {{kind: mixer, inputs: {{song: {{from: song, on_loss: silence}}{mixed}}}}}
  ear: {{kind: meter, in: voice}}
  speaker: {{kind: playback, device: "null", in: {{from: mix, on_loss: silence}}}}
  gateway: {{kind: gateway, listen: "{listen}", key: studio}}
{more}"""

LAPTOP = """
version: 1
name: laptop
rate: 48000
nodes:
  there: {{kind: remote_in, host: "{host}", port: mix, key: studio, own: laptop}}
  speaker: {{kind: playback, device: "null", in: {{from: there, on_loss: silence}}}}
  rec: {{kind: recorder, subtype: float32, inputs: {{there: {{from: there, policy: block}}}}}}
"""


def studio_yaml(tone: Path, listen: str, *, mixed: str = "", more: str = "") -> str:
    """The studio's file: `mixed` are more inputs of its mixer, `more` are lines with more nodes."""
    return _STUDIO.format(tone=tone, listen=listen, mixed=mixed and f", {mixed}", more=more)


def make_keys(folder: Path, role: str = "play") -> None:
    """One folder that serves both hosts: each has a key of its own and knows the other."""
    keys = Keys(folder)
    studio, laptop = keys.new("studio").public, keys.new("laptop").public
    keys.allow("studio", studio, "host")
    keys.allow("laptop", laptop, role)


def write_tone(path: Path) -> Path:
    """Ten seconds of whole periods, so that it loops without a seam."""
    t = np.arange(10 * RATE) / RATE
    tone = (LEVEL * np.sin(2 * np.pi * HZ * t)).astype(np.float32)
    sf.write(path, np.stack([tone, tone], axis=1), RATE, subtype="FLOAT")
    return path


@dataclass(frozen=True)
class Gap:
    """Where nothing of the tone was heard."""

    at_s: float
    ms: float


def gaps(x: NDArray[np.float32]) -> list[Gap]:
    """Runs of 10 ms blocks below half of the tone's level, without the beginning and the end."""
    blocks = x[: len(x) // BLOCK * BLOCK, 0].reshape(-1, BLOCK)
    quiet = np.sqrt(np.mean(np.square(blocks, dtype=np.float64), axis=1)) < LEVEL / np.sqrt(2) / 2
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet, [0]])))
    runs = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [Gap(a / 100, (b - a) * 10.0) for a, b in runs if a > 0 and b < len(quiet)]


def worst_step(x: NDArray[np.float32]) -> float:
    """The largest step between neighbours, as a multiple of the tone's own steepest; a cut would be up to 35."""
    return float(np.abs(np.diff(x[:, 0])).max() / STEEPEST)
