"""A pipeline of kinds of its own, for tests of what is done with pipeline files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_pipeline.node import Latency
from tests.fuzz.control import Quiet, quiet_supervisor

KINDS = '''
from dataclasses import dataclass
from audio_pipeline.node import Aligned, Filter, Latency, Node, Ports, Source
from audio_pipeline.settings import setting

class {name}({base}):
    """A {kind} for tests. It does nothing."""

    @dataclass(frozen=True)
    class Settings:
        gain_db: float = setting(0.0, "level", unit="dB", minimum=-60, maximum=12, live=True)
        folder: str = setting("", "where")

    {body}

NODE = {name}
'''
PIPELINE = """
version: 1
name: demo
rate: 48000
node_paths: [kinds]
nodes:
  song: {kind: tone}
  wet: {kind: delay, in: song}
  mix:
    kind: adder
    inputs:
      wet: {from: wet, on_loss: silence}
      dry: {from: song, on_loss: silence}
  rec: {kind: keeper, in: mix}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A pipeline of kinds that live beside it."""
    kinds = {
        "tone": ("Source", ""),
        "delay": ("Filter", "@classmethod\n    def estimate(cls, settings, rate): return Latency(window=rate // 10)"),
        "adder": ("Aligned", 'PORTS = Ports(inputs=("*",))'),
        "keeper": ("Node", "PORTS = Ports(outputs=())"),
    }
    (tmp_path / "kinds").mkdir()
    for kind, (base, body) in kinds.items():
        text = KINDS.format(name=kind.title(), base=base, kind=kind, body=body)
        (tmp_path / "kinds" / f"{kind}.py").write_text(text)
    path = tmp_path / "demo.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    """A supervisor without processes, whose nodes are all ready and whose clock runs."""
    with quiet_supervisor() as made:
        for record in made.parts.state.nodes.values():
            record.ready, record.latency = True, Latency()
        made.parts.starter.start_all()
        yield made
