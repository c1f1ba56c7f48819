"""The parts of `report.html`: figures, tracks, latency, ledger, nodes, incidents, settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from audio_pipeline.report_sound import (
    RANGE_DB,
    Picture,
    colour_stops,
    mel_share,
    outline,
    png,
    time_ticks,
    top_hz,
)
from audio_pipeline.view_table import drops
from audio_pipeline.view_text import State, clock_text, ms_text

FREQUENCIES_HZ = (250, 500, 1000, 2000, 4000, 8000, 16_000)
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


def decibel_text(value_db: float) -> str:
    """A level with one decimal and a true minus sign."""
    return (
        f"{round(value_db, 1) + 0.0:.1f}".replace("-", MINUS) if math.isfinite(value_db) else number(value_db)
    ) + " dBFS"


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
    """The handful of numbers that say how it went."""
    lost = sum(drops(link) for link in state["links"])
    delivered = sum(link["delivered"] for link in state["links"])
    restarts = sum(node.get("restarts", 0) for node in state["nodes"].values())
    balanced = all(link["balanced"] for link in state["links"])
    shown = [
        ("Length", clock_text(state["position"] / state["rate"]), "live" if state["live"] else "offline", ""),
        *[
            (
                f"{words} latency".capitalize(),
                ms_text(path["total_ms"]),
                _budget(path),
                _verdict(keeps(path)),
            )
            for words, path in _two_paths(state)
        ],
        ("Frames delivered", number(delivered), f"{number(lost)} dropped", "warn" if lost else "good"),
        (
            "Ledger",
            "balances" if balanced else "does not balance",
            f"{len(state['links'])} links",
            _verdict(balanced),
        ),
        ("Restarts", str(restarts), f"{len(state['nodes'])} nodes", "warn" if restarts else "good"),
    ]
    cards = "".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd class="{style}">{escape(value)}</dd>'
        f"<dd>{escape(note)}</dd></div>"
        for name, value, note, style in shown
    )
    return f'<dl class="figures">{cards}</dl>'


def _two_paths(state: State) -> list[tuple[str, Mapping[str, Any]]]:
    """The microphone's way and the slowest other way, where there are such."""
    monitor = [("monitor", path) for path in state["paths"] if path["monitor"]][:1]
    others = sorted((path for path in state["paths"] if not path["monitor"]), key=lambda path: path["total_ms"])
    return [*monitor, *[("output", path) for path in others[-1:]]]


def keeps(path: Mapping[str, Any]) -> bool:
    return path["budget_ms"] is None or path["total_ms"] <= path["budget_ms"]


def _verdict(fine: bool) -> str:
    return "" if fine else "bad"


def _budget(path: Mapping[str, Any]) -> str:
    return "no budget" if path["budget_ms"] is None else f"budget {ms_text(path['budget_ms'])}"


# -- tracks ------------------------------------------------------------------------------------------


def tracks(pictures: Mapping[str, Picture], failures: Sequence[str]) -> str:
    """Waveform, spectrogram and player of every file; names are those of the files beside the page."""
    notes = "".join(f'<p class="warn">{escape(sentence)}</p>' for sentence in failures)
    if not pictures:
        return notes
    top_db = max(float(picture.bands_db.max()) for picture in pictures.values())
    scale = (
        f'<div class="scale soft"><span>{MINUS}{RANGE_DB:.0f} dB</span>'
        f'<i style="background:linear-gradient(90deg,{colour_stops()})"></i>'
        f"<span>0 dB = the loudest point of all tracks</span></div>"
    )
    return "".join(_track(name, picture, top_db) for name, picture in pictures.items()) + notes + scale


def _track(name: str, picture: Picture, top_db: float) -> str:
    stem = escape(name.rpartition(".")[0])
    channels = {1: "mono", 2: "stereo"}.get(picture.channels, f"{picture.channels} channels")
    about = (
        f"{clock_text(picture.seconds)} · {channels} · {picture.rate / 1000:g} kHz · peak "
        f"{decibel_text(picture.peak_db)} · RMS {decibel_text(picture.rms_db)}"
    )
    ticks = "".join(
        f'<span style="left:{100 * at / picture.seconds:.2f}%">{number(at)}</span>'
        for at in time_ticks(picture.seconds)
        if at <= 0.94 * picture.seconds
    )
    return (
        f'<article class="card track"><header><h3>{stem}</h3><p class="soft">{about}</p>'
        f'<audio controls preload="none" src="{escape(name)}"></audio></header>'
        f'<div class="plots" data-seconds="{picture.seconds:.3f}">'
        f"{_wave(picture)}{_spectrum(stem, picture, top_db)}"
        f'<div class="x">{ticks}<span class="name">time, s</span></div>'
        f'<div class="playhead"></div></div></article>'
    )


def _wave(picture: Picture) -> str:
    columns = len(picture.low)
    labels = "".join(f'<span class="y" style="bottom:{50 * (1 + y)}%">{number(y)}</span>' for y in (-1, 0, 1))
    return (
        f'<div class="plot wave"><div class="axis"><span>amplitude</span></div>{labels}'
        f'<svg viewBox="0 -1 {columns} 2" preserveAspectRatio="none" role="img" aria-label="waveform">'
        f'<path class="peak" d="{outline(picture.high, picture.low)}"/>'
        f'<path class="rms" d="{outline(picture.rms, -picture.rms)}"/>'
        f'<line class="zero" x1="0" x2="{columns}" y1="0" y2="0"/></svg></div>'
    )


def _spectrum(stem: str, picture: Picture, top_db: float) -> str:
    inside = [hz for hz in FREQUENCIES_HZ if hz < top_hz(picture.rate)]
    shown = [hz for hz in inside if hz >= 1000 or hz == 500]
    labels = "".join(
        f'<span class="y" style="bottom:{100 * mel_share(hz, picture.rate):.1f}%">{hz / 1000:g}</span>' for hz in shown
    )
    return (
        f'<div class="plot spectrum"><div class="axis"><span>frequency, kHz</span></div>{labels}'
        f'<img alt="mel spectrogram of {stem}" src="{png(picture.bands_db, top_db)}"></div>'
    )


# -- tables ------------------------------------------------------------------------------------------


def link_name(link: Mapping[str, Any]) -> str:
    return f'{escape(link["from"])}<span class="arrow">→</span>{escape(link["to"])}'


def ledger(state: State) -> str:
    """Every link: what was offered, what became of it, and whether that adds up."""
    rows = []
    for link in state["links"]:
        lost = ", ".join(f"{number(count)} {escape(reason)}" for reason, count in link["dropped"].items() if count)
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
    """Each restart or failure with the last lines the node had said."""
    return "".join(
        f'<details class="card"><summary><b>{escape(item["node"])}</b> at {clock_text(item["time_s"])}: '
        f"{escape(item['cause'])}</summary><pre>{_last_words(item)}</pre></details>"
        for item in state["incidents"]
    )


def _last_words(item: Mapping[str, Any]) -> str:
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
