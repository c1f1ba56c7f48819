"""Graphs of the test kinds."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.graph.load import Graph, loads
from tests.engine.kinds.noise import noise

__all__ = ["KINDS", "graph_of", "noise", "text_of"]

KINDS = Path(__file__).parent / "kinds"


def text_of(nodes: str, **top: object) -> str:
    """A pipeline file with these nodes (YAML, one a line) and top keys."""
    keys = {"version": 1, "rate": 48_000, "node_paths": [str(KINDS)], **top}
    head = "".join(f"{key}: {value}\n" for key, value in keys.items() if value is not None)
    return head + "nodes:\n" + "".join(f"  {line}\n" for line in nodes.strip("\n").split("\n"))


def graph_of(nodes: str, **top: object) -> Graph:
    """The graph of these nodes."""
    return loads(text_of(nodes, **top), "p.yaml")
