"""Makes a node object from its job."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.graph.job import Job
from audio_pipeline.graph.registry import load_class, load_kind
from audio_pipeline.node import Node
from audio_pipeline.settings import build


def build_node(job: Job) -> Node:
    """The node with its settings; nothing is opened yet."""
    paths = [Path(folder) for folder in job.node_paths]
    cls = load_class(job.kind_at) if job.kind_at else load_kind(job.kind, paths)
    node = cls(build(cls.Settings, job.settings, ("nodes", job.name)))
    node.input_settings = {
        name: build(cls.InputSettings, raw, ("nodes", job.name, "inputs", name))
        for name, raw in job.input_settings.items()
    }
    return node
