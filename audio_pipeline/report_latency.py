"""Latency in `report.html`: paths beside their budgets, and how old frames were, link by link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from audio_pipeline.report_page import keeps, link_name, number
from audio_pipeline.view_text import State, ms_text


def latency_paths(state: State) -> str:
    """Each path with its sum, as a share of its budget (of the longest path where it has none)."""
    if not state["paths"]:
        return ""
    longest_ms = max(path["total_ms"] for path in state["paths"]) or 1.0
    rows = []
    for path in sorted(state["paths"], key=lambda path: not path["monitor"]):
        way = '<span class="arrow">→</span>'.join(escape(name) for name in path["path"])
        budget = "" if path["budget_ms"] is None else f' <span class="soft">of {ms_text(path["budget_ms"])}</span>'
        fill = 100 * min(path["total_ms"] / (path["budget_ms"] or longest_ms), 1.0)
        rows.append(
            f'<div><div class="row"><span>{way}</span><span>{ms_text(path["total_ms"])}{budget}</span></div>'
            f'<div class="bar{"" if keeps(path) else " over"}"><i style="width:{fill:.1f}%"></i></div></div>'
        )
    return f'<div class="card paths">{"".join(rows)}</div>'


def histograms(state: State) -> str:
    """How old frames were when they were taken, a histogram a link, all on one logarithmic axis."""
    links = [link for link in state["links"] if sum(link["age_histogram"]["counts"])]
    if not links:
        return ""
    filled = np.sum([link["age_histogram"]["counts"] for link in links], axis=0).nonzero()[0]
    span = int(filled[0]), int(filled[-1]) + 1
    return f'<div class="grid">{"".join(_histogram(link, span) for link in links)}</div>'


def _histogram(link: Mapping[str, Any], span: tuple[int, int]) -> str:
    edges = [0.0, *link["age_histogram"]["edges_ms"]]
    counts, count = link["age_histogram"]["counts"][slice(*span)], span[1] - span[0]
    top = max(counts) or 1
    bars = "".join(
        f'<rect x="{i + 0.08:.2f}" width="0.84" y="{1 - value / top:.4f}" height="{value / top:.4f}"/>'
        for i, value in enumerate(counts)
        if value
    )
    age = link["age_ms"]
    mark = _budget_mark(link["budget_ms"], edges, span)
    quantiles = [("median", age["p50"]), ("99 %", age["p99"]), ("oldest", age["max"])]
    said = " · ".join(f"{name} {ms_text(value_ms)}" for name, value_ms in quantiles)
    return (
        f'<figure class="card histogram"><div class="row"><h3>{link_name(link)}</h3>'
        f'<span class="soft">most {number(top)} a bar</span></div>'
        f'<svg viewBox="0 0 {count} 1" preserveAspectRatio="none" role="img" aria-label="ages">{bars}{mark}'
        f'<line class="base" x1="0" x2="{count}" y1="1" y2="1"/></svg>'
        f'<div class="x">{_age_ticks(edges, span)}<span class="name">age, ms</span></div>'
        f"<figcaption>{said}</figcaption></figure>"
    )


def _place(value_ms: float, edges: Sequence[float], span: tuple[int, int]) -> float:
    """Where an age lies on the histogram's axis, in bars from its left."""
    bin_ = int(np.searchsorted(edges, value_ms, "right")) - 1
    upper = edges[bin_ + 1] if bin_ + 1 < len(edges) else edges[bin_] * 1.25
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
