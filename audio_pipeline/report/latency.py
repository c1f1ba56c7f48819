"""Latency in `report.html`: paths beside their budgets, and how old frames were, link by link."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

import numpy as np

from audio_pipeline.control.snapshots import LinkLedger, PathDescription
from audio_pipeline.control.state import State
from audio_pipeline.histogram import AGE_EDGES_MS, STEP
from audio_pipeline.report.page import link_name, number
from audio_pipeline.view.paths import allowed_ms, keeps
from audio_pipeline.view.text import ms_text


def latency_paths(state: State) -> str:
    """Each path as a bar, a segment a node, as long as its budget (as the longest path where it has none)."""
    paths = state.present_paths
    longest_ms = max((path.total_ms for path in paths), default=0.0) or 1.0
    rows = "".join(_path(state, path, longest_ms) for path in paths)
    return f'<div class="card paths">{rows}</div>' if rows else ""


def _path(state: State, path: PathDescription, longest_ms: float) -> str:
    limit_ms = allowed_ms(state, path)
    shown_ms = max(path.total_ms, longest_ms if limit_ms is None else limit_ms)
    terms = [(name, ms) for name, ms in path.terms_ms.items() if ms > 0]
    way = '<span class="arrow">+</span>'.join(
        f'{escape(name)} <span class="soft">{ms:.1f}</span>' for name, ms in terms
    )
    bars = "".join(f'<i style="width:{100 * ms / shown_ms:.2f}%" title="{escape(name)}"></i>' for name, ms in terms)
    within = "" if limit_ms is None else f' <span class="soft">of {ms_text(limit_ms)}</span>'
    monitor = '<span class="soft">monitor: </span>' if path.monitor else ""
    return (
        f'<div><div class="row"><span>{monitor}{way}</span><span>{ms_text(path.total_ms)}{within}</span></div>'
        f'<div class="bar{"" if keeps(state, path) else " over"}">{bars}</div>{_measured(state, path)}</div>'
    )


def _measured(state: State, path: PathDescription) -> str:
    """What was measured at the path's end beside what was stated up to there, and which frame was the oldest."""
    ledger = state.measured.get(path.path)
    found = ledger.measured if ledger else None
    if not found:
        return ""
    quantiles = [("stated", path.stated_ms), ("median", found.p50), ("99 %", found.p99), ("max", found.max)]
    shown = " · ".join(f"{name} {ms_text(value_ms)}" for name, value_ms in quantiles)
    worst, oldest = found.worst, ""
    if worst is not None:
        at = datetime.fromtimestamp(worst.time).strftime("%H:%M:%S")
        oldest = f" (frame {worst.seq} of {worst.source}, position {worst.position}, at {at})"
    return f'<p class="soft">at its end: {shown}{escape(oldest)}</p>'


def histograms(state: State) -> str:
    """How old frames were when they were taken, a histogram a link, all on one logarithmic axis."""
    links = [link for link in state.ledger.links if sum(link.age_counts)]
    if not links:
        return ""
    filled = np.sum([link.age_counts for link in links], axis=0).nonzero()[0]
    span = int(filled[0]), int(filled[-1]) + 1
    return f'<div class="grid">{"".join(_histogram(link, span) for link in links)}</div>'


def _histogram(link: LinkLedger, span: tuple[int, int]) -> str:
    edges = [0.0, *AGE_EDGES_MS.tolist()]
    counts, count = link.age_counts[slice(*span)], span[1] - span[0]
    top = max(counts) or 1
    bars = "".join(
        f'<rect x="{i + 0.08:.2f}" width="0.84" y="{1 - value / top:.4f}" height="{value / top:.4f}"/>'
        for i, value in enumerate(counts)
        if value
    )
    age = link.age_ms
    mark = _budget_mark(link.budget_ms, edges, span)
    quantiles = [("median", age.p50), ("99 %", age.p99), ("max", age.max)]
    shown = " · ".join(f"{name} {ms_text(value_ms)}" for name, value_ms in quantiles)
    return (
        f'<figure class="card histogram"><div class="row"><h3>{link_name(link)}</h3>'
        f'<span class="soft">most {number(top)} a bar</span></div>'
        f'<svg viewBox="0 0 {count} 1" preserveAspectRatio="none" role="img" aria-label="ages">{bars}{mark}'
        f'<line class="base" x1="0" x2="{count}" y1="1" y2="1"/></svg>'
        f'<div class="x">{_age_ticks(edges, span)}<span class="name">age, ms</span></div>'
        f"<figcaption>{shown}</figcaption></figure>"
    )


def _place(value_ms: float, edges: Sequence[float], span: tuple[int, int]) -> float:
    """Where an age lies on the histogram's axis, in bars from its left."""
    bin_ = int(np.searchsorted(edges, value_ms, "right")) - 1
    upper = edges[bin_ + 1] if bin_ + 1 < len(edges) else edges[bin_] * STEP
    return bin_ + (value_ms - edges[bin_]) / (upper - edges[bin_]) - span[0]


def _budget_mark(budget_ms: float, edges: Sequence[float], span: tuple[int, int]) -> str:
    x = _place(budget_ms, edges, span)
    inside = 0 <= x <= span[1] - span[0]
    return f'<line class="mark" x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="1"/>' if inside else ""


def _age_ticks(edges: Sequence[float], span: tuple[int, int]) -> str:
    count, ticks = span[1] - span[0], ""
    for value_ms in (0.1, 1.0, 10.0, 100.0, 1000.0, 10_000.0):
        share = _place(value_ms, edges, span) / count
        ticks += f'<span style="left:{100 * share:.1f}%">{number(value_ms)}</span>' if 0 <= share < 0.8 else ""
    return ticks
