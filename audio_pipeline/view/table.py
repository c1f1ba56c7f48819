"""The table of the terminal view: a row a node, or one of its ports, and what the links into it say."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audio_pipeline.control.snapshots import NodeMeters
from audio_pipeline.control.state import LinkStatus, NodeStatus, Status
from audio_pipeline.view.text import DIM, ZONES_DB, Line, Part, db_text, meter, ms_text

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
    node: NodeStatus
    links: Sequence[LinkStatus]
    level_db: tuple[float, float] | None  # peak, RMS
    port: bool = False  # a further line of the node above


def rows(status: Status, *, ports: bool) -> list[Row]:
    """A row per node, and where `ports` and a node has several levels a row for each of these below it."""
    found: list[Row] = []
    for node in status.nodes:
        levels = shown_levels(node.meters)
        links = [link for link in status.links if link.description.input.node == node.name]
        several = ports and len(levels) > 1
        level = max(levels.values(), default=None) if not several else None
        found.append(Row(node.name, node, links, level))
        found += [Row(port, node, (), levels[port], port=True) for port in levels if several]
    return found


def shown_levels(node: NodeMeters) -> dict[str, tuple[float, float]]:
    """Peak and RMS by port: of `out` alone where there is one, else of all."""
    levels = node.levels_db or {}
    return {port: (levels[port][0], levels[port][1]) for port in (("out",) if "out" in levels else levels)}


def _state_cell(row: Row) -> Part:
    state = row.node.meters.state
    return f"● {state}", STATE_STYLES.get(state, "")


def _peak_cell(row: Row) -> Part:
    if row.level_db is None:
        return "", ""
    return db_text(row.level_db[0]), "red" if row.level_db[0] > ZONES_DB[1][0] else ""


def _latency_cell(row: Row) -> Part:
    total_ms = row.node.description.latency_ms.get("total", 0.0)
    return (ms_text(total_ms), "") if total_ms else ("-", DIM)


def _age_cell(row: Row) -> Part:
    if not row.links:
        return "-", DIM
    worst = max(row.links, key=lambda link: link.meters.age_p99_ms / link.description.budget_ms)
    age_ms, budget_ms = worst.meters.age_p99_ms, worst.description.budget_ms
    return ms_text(age_ms), "yellow" if age_ms > budget_ms else ""


def _drops_cell(row: Row) -> Part:
    lost = sum(link.meters.dropped for link in row.links)
    balanced = all(link.meters.balanced for link in row.links)
    return f"{lost}{'' if balanced else '!'}", ("yellow" if lost else DIM) if balanced else "bold red"


def _queue_cell(row: Row) -> Part:
    if not row.links:
        return "-", DIM
    fullest = max(row.links, key=lambda link: link.fill)
    waiting = sum(link.meters.queued for link in row.links)
    return f"{fullest.meters.in_flight}/{fullest.description.window}{f'+{waiting}' if waiting else ''}", ""


def _share_cell(share_of: Callable[[NodeMeters], float], limit: float) -> Callable[[Row], Part]:
    def cell(row: Row) -> Part:
        share = share_of(row.node.meters)
        return f"{share:.0%}", "red" if share > limit else ""

    return cell


def _restarts_cell(row: Row) -> Part:
    count = row.node.meters.restarts
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
    Column("cpu", 5, _share_cell(lambda node: node.cpu, 0.95), 3),
    Column("busy", 5, _share_cell(lambda node: node.busy, 0.8), 5),
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
    note = "" if row.port else row.node.meters.note[:meter_width]
    line += meter(row.level_db[1], peak_db, meter_width) if row.level_db else [(f"{note:{meter_width}}", DIM)]
    for column in columns:
        text, style = column.cell(row) if not row.port or column.cell is _peak_cell else ("", "")
        line.append((f" {text:>{column.width}}", style))
    return line
