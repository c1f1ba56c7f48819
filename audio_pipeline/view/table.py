"""The table of the terminal view: a row a node, or one of its ports, and what the links into it say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audio_pipeline.view.text import DIM, ZONES_DB, Line, Part, State, db_text, meter, ms_text

STATE_STYLES = {
    "running": "green",
    "starting": "yellow",
    "restarting": "yellow",
    "absent": DIM,
    "failed": "bold red",
    "ended": DIM,
}


@dataclass(frozen=True)
class Row:
    """A node, or one of its ports, and what the links into it say."""

    name: str
    node: Mapping[str, Any]
    links: Sequence[Mapping[str, Any]]
    level_db: tuple[float, float] | None  # peak, RMS
    port: bool = False  # a further line of the node above


def rows(state: State, *, ports: bool) -> list[Row]:
    """A row per node, and where `ports` and a node has several levels a row for each of these below it."""
    found: list[Row] = []
    for name, node in state["nodes"].items():
        levels = shown_levels(node)
        links = [link for link in state["links"] if node_of(link["to"]) == name]
        several = ports and len(levels) > 1
        level = max(levels.values(), default=None) if not several else None
        found.append(Row(name, node, links, level))
        found += [Row(port, node, (), levels[port], port=True) for port in levels if several]
    return found


def shown_levels(node: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Peak and RMS by port: of `out` alone where there is one, else of all."""
    levels = node.get("levels_db", {})
    return {port: (levels[port][0], levels[port][1]) for port in (("out",) if "out" in levels else levels)}


def node_of(end: str) -> str:
    """
    >>> node_of("song.out")
    'song'
    """
    return end.partition(".")[0]


def drops(link: Mapping[str, Any]) -> int:
    """Frames lost on a link; those that a seek or a stop cancelled were not wanted any more."""
    return sum(count for reason, count in link["dropped"].items() if reason != "cancelled")


def _state_cell(row: Row) -> Part:
    state = row.node["state"]
    return f"● {state}", STATE_STYLES.get(state, "")


def _peak_cell(row: Row) -> Part:
    if row.level_db is None:
        return "", ""
    return db_text(row.level_db[0]), "red" if row.level_db[0] > ZONES_DB[1][0] else ""


def _latency_cell(row: Row) -> Part:
    total_ms = row.node.get("latency_ms", {}).get("total", 0.0)
    return (ms_text(total_ms), "") if total_ms else ("-", DIM)


def _age_cell(row: Row) -> Part:
    if not row.links:
        return "-", DIM
    worst = max(row.links, key=lambda link: link["age_ms"]["p99"] / link["budget_ms"])
    return ms_text(worst["age_ms"]["p99"]), "yellow" if worst["age_ms"]["p99"] > worst["budget_ms"] else ""


def _drops_cell(row: Row) -> Part:
    lost = sum(drops(link) for link in row.links)
    balanced = all(link.get("balanced", True) for link in row.links)
    return f"{lost}{'' if balanced else '!'}", ("yellow" if lost else DIM) if balanced else "bold red"


def _queue_cell(row: Row) -> Part:
    if not row.links:
        return "-", DIM
    fullest = max(row.links, key=lambda link: link["in_flight"] / max(link["window"], 1))
    waiting = sum(link["queued"] for link in row.links)
    return f"{fullest['in_flight']}/{fullest['window']}{f'+{waiting}' if waiting else ''}", ""


def _share_cell(key: str, limit: float) -> Callable[[Row], Part]:
    def cell(row: Row) -> Part:
        share = row.node.get(key)
        return (f"{share:.0%}", "red" if share > limit else "") if share is not None else ("-", DIM)

    return cell


def _restarts_cell(row: Row) -> Part:
    count = row.node.get("restarts", 0)
    return str(count), "yellow" if count else DIM


@dataclass(frozen=True)
class Column:
    title: str
    width: int
    cell: Callable[[Row], Part]
    need: int  # the higher, the sooner it is left out of a narrow terminal


COLUMNS = (
    Column("peak", 6, _peak_cell, 4),
    Column("latency", 8, _latency_cell, 2),
    Column("age p99", 8, _age_cell, 1),
    Column("drops", 6, _drops_cell, 0),
    Column("credit", 7, _queue_cell, 6),
    Column("cpu", 5, _share_cell("cpu", 0.95), 3),
    Column("busy", 5, _share_cell("busy", 0.8), 5),
    Column("restarts", 8, _restarts_cell, 7),
)
STATE_WIDTH = 12
METER_WIDTH = (12, 36)


def table(found: Sequence[Row], width: int, hold: Callable[[str, float], float]) -> list[Line]:
    """The node table: a header and a line per row, as many columns as `width` cells hold."""
    name_width = min(max([len(row.name) + 2 * row.port for row in found] + [4]), 18)
    columns = list(COLUMNS)
    fixed = name_width + 2 + STATE_WIDTH + 1
    while columns and fixed + METER_WIDTH[0] + sum(column.width + 1 for column in columns) > width:
        columns.remove(max(columns, key=lambda column: column.need))
    spare = width - fixed - sum(column.width + 1 for column in columns)
    meter_width = min(max(spare, 0), METER_WIDTH[1])
    head = f" {'node':{name_width}} {'state':{STATE_WIDTH}} {'level':{meter_width}}"
    lines: list[Line] = [[(head + "".join(f" {column.title:>{column.width}}" for column in columns), DIM)]]
    owner = ""
    for row in found:
        owner = owner if row.port else row.name
        peak_db = hold(f"{owner}.{row.name}", row.level_db[0] if row.level_db else -math.inf)
        lines.append(_row_line(row, (name_width, meter_width), columns, peak_db))
    return lines


def _row_line(row: Row, widths: tuple[int, int], columns: Sequence[Column], peak_db: float) -> Line:
    name_width, meter_width = widths
    state: Part = ("", "") if row.port else _state_cell(row)
    name: Part = (f"  {row.name}", "") if row.port else (row.name, "bold")
    line: Line = [
        (f" {name[0][:name_width]:{name_width}} ", name[1]),
        (f"{state[0]:{STATE_WIDTH}} ", state[1]),
    ]
    note = "" if row.port or row.node["state"] == "running" else row.node.get("note", "")[:meter_width]
    line += meter(row.level_db[1], peak_db, meter_width) if row.level_db else [(f"{note:{meter_width}}", DIM)]
    for column in columns:
        text, style = column.cell(row) if not row.port or column.cell is _peak_cell else ("", "")
        line.append((f" {text:>{column.width}}", style))
    return line
