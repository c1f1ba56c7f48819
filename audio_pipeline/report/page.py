"""The parts of `report.html`: figures, tracks, latency, ledger, nodes, incidents, settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from audio_pipeline.control.incident import Incident
from audio_pipeline.control.snapshots import LinkLedger, PathDescription
from audio_pipeline.control.state import NodeState, State
from audio_pipeline.view.paths import allowed_ms, keeps
from audio_pipeline.view.text import clock_text, content_s, ms_text

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


def pairs(values: Mapping[str, object]) -> str:
    """Names and values below each other."""
    return (
        '<dl class="pairs">'
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in values.items())
        + "</dl>"
    )


# -- figures -----------------------------------------------------------------------------------------


def figures(state: State) -> str:
    """The handful of numbers that summarise the run."""
    links, nodes = state.ledger.links, state.meters.nodes
    lost = sum(map(_lost, links))
    delivered = sum(link.delivered for link in links)
    restarts = sum(node.restarts for node in nodes.values())
    balanced = all(link.balanced for link in links)
    shown = [
        ("Length", clock_text(content_s(state)), "live" if state.description.live else "offline", ""),
        *[
            (
                f"{which} latency".capitalize(),
                ms_text(path.total_ms),
                _budget(state, path),
                _verdict(keeps(state, path)),
            )
            for which, path in _two_paths(state)
        ],
        ("Frames delivered", number(delivered), f"{number(lost)} dropped", "warn" if lost else "good"),
        (
            "Ledger",
            "balances" if balanced else "does not balance",
            f"{len(links)} links",
            _verdict(balanced),
        ),
        ("Restarts", str(restarts), f"{len(nodes)} nodes", "warn" if restarts else "good"),
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
    counted = {name: node.counters for name, node in state.ledger.nodes.items()}
    found = {name: int(counts.get("clipped", 0)) + int(counts.get("overs", 0)) for name, counts in counted.items()}
    return [(name, count) for name, count in found.items() if count]


def _lost(link: LinkLedger) -> int:
    """Frames that were dropped; those that a seek or a stop cancelled were not wanted any more."""
    return sum(count for reason, count in link.dropped.items() if reason != "cancelled")


def _two_paths(state: State) -> list[tuple[str, PathDescription]]:
    """The microphone's way and the slowest other way, where there are such."""
    paths = state.present_paths
    monitor = [("monitor", path) for path in paths if path.monitor][:1]
    others = sorted((path for path in paths if not path.monitor), key=lambda path: path.total_ms)
    return [*monitor, *[("output", path) for path in others[-1:]]]


def _verdict(fine: bool) -> str:
    return "" if fine else "bad"


def _budget(state: State, path: PathDescription) -> str:
    limit_ms = allowed_ms(state, path)
    if limit_ms is None:
        return "no budget"
    return f"budget {ms_text(limit_ms)}{' with devices' if path.monitor else ''}"


# -- tables ------------------------------------------------------------------------------------------


def link_name(link: LinkLedger) -> str:
    """Its two ends."""
    end = link.input
    standby = " (standby)" if end.standby else ""
    return f'{escape(link.source)}<span class="arrow">→</span>{escape(f"{end.node}.{end.input}{standby}")}'


def ledger(state: State) -> str:
    """Every link: what was offered, what became of it, and whether that adds up."""
    rows = []
    for link in state.ledger.links:
        lost = ", ".join(
            f"{number(count)} {escape(reason.replace('_', ' '))}" for reason, count in link.dropped.items() if count
        )
        mark = '<span class="good">✓</span>' if link.balanced else '<span class="bad">✗ does not add up</span>'
        waiting = link.queued + link.in_flight
        rows.append(
            [
                link_name(link),
                escape(link.policy.replace("_", " ")),
                ms_text(link.budget_ms),
                number(link.offered),
                number(link.delivered),
                f'<span class="warn">{lost}</span>' if lost else "0",
                number(waiting),
                ms_text(link.age_ms.p99),
                mark,
            ]
        )
    head = ("link", "policy", "budget", "offered", "delivered", "dropped", "under way", "age 99 %", "balance")
    return table(head, rows, text_columns=2) if rows else ""


def nodes(state: State) -> str:
    """Every node: state, load, latency by cause, counters."""
    rows = []
    for node in state.node_states:
        total_ms = node.description.latency_ms.get("total")
        rows.append(
            [
                f"<b>{escape(node.name)}</b>",
                escape(node.description.kind),
                escape(node.meters.state),
                number(node.meters.restarts),
                f"{node.meters.cpu:.0%}",
                f"{node.meters.rss_mb:.0f} MB",
                ms_text(total_ms) if total_ms else "",
                f'<div class="wrap">{escape(_details(node))}</div>',
            ]
        )
    return table(("node", "kind", "state", "restarts", "CPU", "memory", "latency", ""), rows, text_columns=3)


def _details(node: NodeState) -> str:
    """Latency by cause, counters that are not 0, and the node's note."""
    terms = node.description.latency_ms
    causes = [f"{cause} {ms_text(ms)}" for cause, ms in terms.items() if ms and cause != "total"]
    counted = [f"{key.replace('_', ' ')} {number(value)}" for key, value in node.ledger.counters.items() if value]
    return " · ".join(filter(None, [" + ".join(causes), ", ".join(counted), node.ledger.note]))


def incidents(state: State) -> str:
    """Each restart or failure with the last lines that the node printed."""
    return "".join(
        f'<details class="card"><summary><b>{escape(incident.node)}</b> at {clock_text(incident.time_s)}: '
        f"{escape(incident.cause)}</summary><pre>{_last_lines(incident)}</pre></details>"
        for incident in state.ledger.incidents
    )


def _last_lines(incident: Incident) -> str:
    return escape("\n".join(incident.log)) or "nothing logged"


def settings(state: State) -> str:
    """What every node was set to at the end."""
    return "".join(
        f'<details class="card"><summary><b>{escape(name)}</b> '
        f'<span class="soft">{escape(node.kind)}</span></summary>'
        f"{pairs(dict(flat(node.settings)))}</details>"
        for name, node in state.description.nodes.items()
        if node.settings
    )


def flat(values: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, object]]:
    """Nested settings as dotted names.

    >>> list(flat({"a": {"b": 1}, "c": None}))
    [('a.b', 1), ('c', 'none')]
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", "none" if value is None else value
