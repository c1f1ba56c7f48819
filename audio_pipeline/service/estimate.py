"""What a graph will take, before any session of it was measured, and what this host has to give."""

from __future__ import annotations

import os

from audio_pipeline.cpu import cores
from audio_pipeline.graph.groups import processes
from audio_pipeline.graph.types import Graph
from audio_pipeline.service.budget import NOTHING, Cost

SUPERVISOR = Cost(0.05, 45.0)
PROCESS = Cost(0.02, 35.0)
LIGHT, HEAVY = Cost(0.03, 4.0), Cost(0.5, 250.0)
SERVED = Cost(0.3, 10.0)  # its share of the host's process
MODELS = ("convert", "separate", "separate_spleeter", "speaker_encoder", "tts")  # kinds that compute much
SHARE = 0.7  # of this host's cores and memory: the rest is for the system, decoders and starts


def estimate(graph: Graph) -> Cost:
    """Cores and MB by what the graph is made of."""
    cost = SUPERVISOR
    for _ in processes(graph):
        cost += PROCESS
    for spec in graph.nodes.values():
        cost += SERVED if is_served(spec.settings) else HEAVY if spec.kind in MODELS else LIGHT
    return Cost(round(cost.cores, 3), round(cost.mb, 1))


def served_share(graph: Graph) -> Cost:
    """What processes of the host compute for such a session: no measurement of the session itself has it."""
    cost = NOTHING
    for spec in graph.nodes.values():
        if is_served(spec.settings):
            cost += SERVED
    return cost


def is_served(settings: object) -> bool:
    """Whether a node's model runs in a process of the host."""
    return getattr(settings, "worker", "") == "served"


def capacity() -> Cost:
    """What sessions may take of this host together."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    return Cost(round(SHARE * cores(), 3), round(SHARE * _limited_mb(memory_mb), 1))


def _limited_mb(memory_mb: float) -> float:
    """Memory as the control group (v2) allows it, where it says less."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            return min(memory_mb, int(file.read()) / 1e6)
    except (OSError, ValueError):  # no such file, or `max`
        return memory_mb
