"""The parts of `report.html`: figures, tracks, latency, ledger, nodes, incidents, settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from audio_pipeline.view.paths import allowed_ms, keeps, present_paths
from audio_pipeline.view.table import drops
from audio_pipeline.view.text import State, clock_text, content_s, ms_text

MINUS = "\N{MINUS SIGN}"


def number(value: float) -> str:
    """
    >>> number(345.0), number(-3.25), number(-math.inf)
    ('345', '−3.25', '−∞')
    """
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}∞"
    text = f"{abs(value):,.6g}" if abs(value) < 1e6 else f"{abs(value):,.0f}"
    return (MINUS if value < 0 else "") + text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def section(title: str, body: str, lead: str = "") -> str:
    """A heading and what stands below it; nothing at all for an empty body."""
    about = f'<p class="soft">{escape(lead)}</p>' if lead else ""
    return f"<section><h2>{escape(title)}</h2>{about}{body}</section>" if body else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A table of cells that are HTML already; the first `text_columns` are set left."""

    def cells(tag: str, row: Sequence[str]) -> str:
        left = [' class="text"' if i < text_columns else "" for i in range(len(row))]
        return "".join(f"<{tag}{style}>{cell}</{tag}>" for style, cell in zip(left, row, strict=True))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="card scroll"><table><tr>{cells("th", head)}</tr>{body}</table></div>'


def pairs(values: Mapping[str, Any]) -> str:
    """Names and values below each other."""
    return (
        '<dl class="pairs">'
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in values.items())
        + "</dl>"
    )


# -- figures -----------------------------------------------------------------------------------------


def figures(state: State) -> str:
    """The handful of numbers that summarise the run."""
    lost = sum(drops(link) for link in state["links"])
    delivered = sum(link["delivered"] for link in state["links"])
    restarts = sum(node.get("restarts", 0) for node in state["nodes"].values())
    balanced = all(link["balanced"] for link in state["links"])
    shown = [
        ("Length", clock_text(content_s(state)), "live" if state["live"] else "offline", ""),
        *[
            (
                f"{which} latency".capitalize(),
                ms_text(path["total_ms"]),
                _budget(state, path),
                _verdict(keeps(state, path)),
            )
            for which, path in _two_paths(state)
        ],
        ("Frames delivered", number(delivered), f"{number(lost)} dropped", "warn" if lost else "good"),
        (
            "Ledger",
            "balances" if balanced else "does not balance",
            f"{len(state['links'])} links",
            _verdict(balanced),
        ),
        ("Restarts", str(restarts), f"{len(state['nodes'])} nodes", "warn" if restarts else "good"),
        *[("Cut at full scale", number(count), f"values, {name}", "warn") for name, count in _cut(state)],
    ]
    cards = "".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd class="{style}">{escape(value)}</dd>'
        f"<dd>{escape(note)}</dd></div>"
        for name, value, note, style in shown
    )
    return f'<dl class="figures">{cards}</dl>'


def _cut(state: State) -> list[tuple[str, int]]:
    """Nodes that cut values beyond full scale, in files or at a sound card, and how many."""
    counted = {name: node.get("counters", {}) for name, node in state["nodes"].items()}
    found = {name: int(counts.get("clipped", 0)) + int(counts.get("overs", 0)) for name, counts in counted.items()}
    return [(name, count) for name, count in found.items() if count]


def _two_paths(state: State) -> list[tuple[str, Mapping[str, Any]]]:
    """The microphone's way and the slowest other way, where there are such."""
    paths = present_paths(state)
    monitor = [("monitor", path) for path in paths if path["monitor"]][:1]
    others = sorted((path for path in paths if not path["monitor"]), key=lambda path: path["total_ms"])
    return [*monitor, *[("output", path) for path in others[-1:]]]


def _verdict(fine: bool) -> str:
    return "" if fine else "bad"


def _budget(state: State, path: Mapping[str, Any]) -> str:
    if path["budget_ms"] is None:
        return "no budget"
    return f"budget {ms_text(allowed_ms(state, path))}{' with devices' if path['monitor'] else ''}"


# -- tables ------------------------------------------------------------------------------------------


def link_name(link: Mapping[str, Any]) -> str:
    end = link["to"].replace("~bypass", " (standby)")
    return f'{escape(link["from"])}<span class="arrow">→</span>{escape(end)}'


def ledger(state: State) -> str:
    """Every link: what was offered, what became of it, and whether that adds up."""
    rows = []
    for link in state["links"]:
        lost = ", ".join(
            f"{number(count)} {escape(reason.replace('_', ' '))}" for reason, count in link["dropped"].items() if count
        )
        mark = '<span class="good">✓</span>' if link["balanced"] else '<span class="bad">✗ does not add up</span>'
        waiting = link["queued"] + link["in_flight"]
        rows.append(
            [
                link_name(link),
                escape(link["policy"].replace("_", " ")),
                ms_text(link["budget_ms"]),
                number(link["offered"]),
                number(link["delivered"]),
                f'<span class="warn">{lost}</span>' if lost else "0",
                number(waiting),
                ms_text(link["age_ms"]["p99"]),
                mark,
            ]
        )
    head = ("link", "policy", "budget", "offered", "delivered", "dropped", "under way", "age 99 %", "balance")
    return table(head, rows, text_columns=2) if rows else ""


def nodes(state: State) -> str:
    """Every node: state, load, latency by cause, counters."""
    rows = []
    for name, node in state["nodes"].items():
        total_ms = node.get("latency_ms", {}).get("total")
        rows.append(
            [
                f"<b>{escape(name)}</b>",
                escape(node["kind"]),
                escape(node["state"]),
                number(node.get("restarts", 0)),
                f"{node.get('cpu') or 0:.0%}",
                f"{node.get('rss_mb') or 0:.0f} MB",
                ms_text(total_ms) if total_ms else "",
                f'<div class="wrap">{escape(_details(node))}</div>',
            ]
        )
    return table(("node", "kind", "state", "restarts", "CPU", "memory", "latency", ""), rows, text_columns=3)


def _details(node: Mapping[str, Any]) -> str:
    """Latency by cause, counters that are not 0, and the node's note."""
    terms = node.get("latency_ms", {})
    causes = [f"{cause} {ms_text(ms)}" for cause, ms in terms.items() if ms and cause != "total"]
    counted = [f"{key.replace('_', ' ')} {number(value)}" for key, value in node.get("counters", {}).items() if value]
    return " · ".join(filter(None, [" + ".join(causes), ", ".join(counted), node.get("note", "")]))


def incidents(state: State) -> str:
    """Each restart or failure with the last lines that the node printed."""
    return "".join(
        f'<details class="card"><summary><b>{escape(item["node"])}</b> at {clock_text(item["time_s"])}: '
        f"{escape(item['cause'])}</summary><pre>{_last_lines(item)}</pre></details>"
        for item in state["incidents"]
    )


def _last_lines(item: Mapping[str, Any]) -> str:
    return escape("\n".join(item.get("log", ()))) or "nothing logged"


def settings(state: State) -> str:
    """What every node was set to at the end."""
    return "".join(
        f'<details class="card"><summary><b>{escape(name)}</b> '
        f'<span class="soft">{escape(node["kind"])}</span></summary>'
        f"{pairs(dict(flat(node['settings'])))}</details>"
        for name, node in state["nodes"].items()
        if node.get("settings")
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Nested settings as dotted names.

    >>> list(flat({"a": {"b": 1}, "c": None}))
    [('a.b', 1), ('c', 'none')]
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if value is None else value
