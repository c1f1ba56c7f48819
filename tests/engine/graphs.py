"""Graphs of the test kinds."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.align.input import AlignSpec
from audio_pipeline.graph.load import loads
from audio_pipeline.graph.types import Graph
from audio_pipeline.links.link_plan import LinkPlan
from audio_pipeline.refs import InputKey, LinkKey, PortRef
from tests.engine.kinds.noise import noise

__all__ = ["KINDS", "align_spec", "graph_of", "link_key", "noise", "text_of"]

KINDS = Path(__file__).parent / "kinds"


def text_of(nodes: str, **top: object) -> str:
    """A pipeline file with these nodes (YAML, one a line) and top keys."""
    keys = {"version": 1, "rate": 48_000, "node_paths": [str(KINDS)], **top}
    head = "".join(f"{key}: {value}\n" for key, value in keys.items() if value is not None)
    return head + "nodes:\n" + "".join(f"  {line}\n" for line in nodes.strip("\n").split("\n"))


def graph_of(nodes: str, **top: object) -> Graph:
    """The graph of these nodes."""
    return loads(text_of(nodes, **top), "p.yaml")


def link_key(text: str) -> LinkKey:
    """`a`, or `a~bypass` for what stands by for it."""
    name, _, standby = text.partition("~")
    return LinkKey(name, standby=bool(standby))


def align_spec(
    name: str = "a",
    timeline: str = "song",
    capacity_samples: int = 480_000,
    *,
    on_loss: str = "silence",
    standby: bool = False,
    eager: bool = False,
) -> AlignSpec:
    """One channel, as the loader would plan it."""
    plan = LinkPlan(
        PortRef(timeline, "out"),
        InputKey("mix", name),
        "drop_oldest",
        100.0,
        4,
        10,
        timeline,
        0.0,
        capacity_samples,
        on_loss,
        has_standby=standby,
        eager=eager,
    )
    return AlignSpec(LinkKey(name), plan, 1, capacity_samples)
