"""The screen of `top`: numbers by node and path in, styled lines out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from audio_pipeline.control.state import State
from audio_pipeline.view.loads import Load, PathLoad, node_loads, path_loads
from audio_pipeline.view.text import DIM, Line, Part, clock_text, spread

STATE_MARKS: Mapping[str, Part] = {
    "running": ("●", "green"),
    "starting": ("◌", "yellow"),
    "restarting": ("◌", "yellow"),
    "absent": ("-", DIM),
    "failed": ("✗", "bold red"),
    "ended": ("○", DIM),
}
GRAPH = "graph"
WIDE = 100


def span_text(value_ms: float | None) -> str:
    """
    >>> [span_text(ms) for ms in (None, 0.0421, 3.24, 187.4, 12345)]
    ['-', '42µs', '3.2ms', '187ms', '12.3s']
    """
    if value_ms is None:
        return "-"
    if value_ms < 0.9995:
        return f"{value_ms * 1000:.0f}µs"
    if value_ms < 9.95:
        return f"{value_ms:.1f}ms"
    return f"{value_ms:.0f}ms" if value_ms < 9999.5 else f"{value_ms / 1000:.1f}s"


def share_text(share: float | None) -> str:
    """
    >>> share_text(0.314), share_text(12.3), share_text(None)
    ('0.31', '12', '-')
    """
    return "-" if share is None else f"{share:.2f}" if share < 9.995 else f"{share:.0f}"


def _span(value_of: Callable[[Load], float | None]) -> Callable[[Load], Part]:
    return lambda load: (span_text(value_of(load)), "" if value_of(load) is not None else DIM)


def _share(value_of: Callable[[Load], float | None], limit: float) -> Callable[[Load], Part]:
    def cell(load: Load) -> Part:
        value = value_of(load)
        return share_text(value), DIM if value is None else "bold red" if value > limit else ""

    return cell


def _credit(load: Load) -> Part:
    if not load.window:
        return "-", DIM
    return f"{load.in_flight}/{load.window}", "yellow" if load.credit_share >= 1 else ""


def _number(value_of: Callable[[Load], float | None], form: str, style: str = "") -> Callable[[Load], Part]:
    def cell(load: Load) -> Part:
        value = value_of(load)
        return ("-" if value is None else format(value, form)), style if value else DIM

    return cell


@dataclass(frozen=True)
class Column:
    title: str
    width: int
    cell: Callable[[Load], Part]
    need: int  # the higher, the sooner it is left out of a narrow terminal
    key: str  # what sorts by it; empty for none
    value: Callable[[Load], float | None]


COLUMNS = (
    Column("WAIT", 6, _span(lambda load: load.wait_ms), 0, "w", lambda load: load.wait_ms),
    Column("BUSY", 6, _span(lambda load: load.busy_ms), 0, "b", lambda load: load.busy_ms),
    Column("W/Q", 5, _share(lambda load: load.wait_share, 1.0), 0, "", lambda load: load.wait_share),
    Column("B/Q", 5, _share(lambda load: load.busy_share, 0.8), 0, "", lambda load: load.busy_share),
    Column("W99", 6, _span(lambda load: load.wait_p99_ms), 8, "", lambda load: load.wait_p99_ms),
    Column("B99", 6, _span(lambda load: load.busy_p99_ms), 7, "", lambda load: load.busy_p99_ms),
    Column("QUE", 4, _number(lambda load: load.queued, ".0f"), 1, "u", lambda load: load.queued),
    Column("CREDIT", 6, _credit, 1, "", lambda load: load.credit_share),
    Column("ERR", 5, _number(lambda load: load.error_count, ".0f", "yellow"), 0, "e", lambda load: load.error_count),
    Column("AGE50", 6, _span(lambda load: load.age_p50_ms), 5, "", lambda load: load.age_p50_ms),
    Column("AGE99", 6, _span(lambda load: load.age_p99_ms), 1, "a", lambda load: load.age_p99_ms),
    Column("AGEMAX", 6, _span(lambda load: load.age_max_ms), 6, "", lambda load: load.age_max_ms),
    Column("PPM", 6, _number(lambda load: load.ppm, "+.1f"), 4, "", lambda load: load.ppm),
    Column("RST", 3, _number(lambda load: load.restarts, ".0f", "yellow"), 3, "", lambda load: load.restarts),
    Column("CPU%", 5, _number(lambda load: load.cpu * 100, ".1f"), 1, "c", lambda load: load.cpu),
    Column("RSS", 5, _number(lambda load: load.rss_mb, ".0f"), 2, "m", lambda load: load.rss_mb),
)
SORTS = {column.key: column.title for column in COLUMNS if column.key} | {"g": GRAPH, "n": "NODE"}


def ordered(loads: Sequence[Load], by: str) -> list[Load]:
    """Nodes by a column, the largest first; by name; or as the graph has them."""
    if by == "NODE":
        return sorted(loads, key=lambda load: load.node)
    column = next((column for column in COLUMNS if column.title == by), None)
    if column is None:
        return list(loads)
    value_of = column.value
    return sorted(loads, key=lambda load: -1.0 if (value := value_of(load)) is None else value, reverse=True)


def header(state: State, width: int) -> Line:
    """Name, mode, length of a frame, clock and uptime."""
    about, now = state.description, state.meters
    mode: Part = ("● live", "green") if about.live else ("● offline", "cyan")
    quantum = f"Q {about.frame_samples}/{about.rate} = {state.frame_ms:.2f} ms"
    right = f"{quantum} · clock {now.master} {now.ppm:+.1f} ppm · up {clock_text(state.ledger.uptime_s)} "
    return spread([(f" {about.name} ", "bold reverse cyan"), ("  ", ""), mode], [(right, DIM)], width)


def table(loads: Sequence[Load], width: int, by: str) -> list[Line]:
    """The nodes, as many columns as `width` cells hold; the one that they are sorted by is marked."""
    name_width = min(max([len(load.node) for load in loads] + [4]), 16)
    columns = list(COLUMNS)
    while columns and 3 + name_width + sum(column.width + 1 for column in columns) > width:
        columns.remove(max(columns, key=lambda column: column.need))
    head: Line = [(f" S {'NODE':{name_width}}", "bold" if by == "NODE" else DIM)]
    head += [(f" {column.title:>{column.width}}", "bold" if column.title == by else DIM) for column in columns]
    lines = [head]
    for load in ordered(loads, by):
        mark, style = STATE_MARKS.get(load.state, ("?", ""))
        line: Line = [(f" {mark}", style), (f" {load.node[:name_width]:{name_width}}", "bold")]
        for column in columns:
            text, style = column.cell(load)
            line.append((f" {text:>{column.width}}", style))
        lines.append(line)
    return lines


def paths_table(paths: Sequence[PathLoad], width: int) -> list[Line]:
    """Ages at the end of each path beside what was stated, and the worst frame by its number."""
    if not paths:
        return []
    named = [(" › ".join(path.path), path) for path in paths]
    brief = width < WIDE
    free = max(width - 2 - 4 * 8 - (16 if brief else 40), 16)
    names = [name if len(name) <= free else f"{path.path[0]} … {path.path[-1]}" for name, path in named]
    name_width = min(max(len(name) for name in names), free)
    titles = "".join(f" {title:>7}" for title in ("STATED", "P50", "P99", "MAX"))
    lines: list[Line] = [[(f" {'PATH':{name_width}}{titles}  WORST FRAME", DIM)]]
    for name, path in zip(names, paths, strict=True):
        over = path.max_ms is not None and path.budget_ms is not None and path.max_ms > path.budget_ms
        cells = "".join(f" {span_text(value):>7}" for value in (path.stated_ms, path.p50_ms, path.p99_ms))
        lines.append(
            [
                (f" {name[:name_width]:{name_width}}", "bold" if path.monitor else ""),
                (cells, ""),
                (f" {span_text(path.max_ms):>7}", "yellow" if over else ""),
                (f"  {worst_text(path, brief)}", DIM),
            ]
        )
    return lines


def worst_text(path: PathLoad, brief: bool) -> str:
    """Which frame was the oldest at the path's end: on which link, its number, and when."""
    worst = path.worst
    if worst is None:
        return "-"
    at = time.strftime("%H:%M:%S", time.localtime(worst.time))
    return f"#{worst.seq} {at}" if brief else f"{worst.source}#{worst.seq} → {worst.target} {at}"


def error_lines(loads: Sequence[Load]) -> list[Line]:
    """What the numbers under ERR are made of."""
    return [
        [(f" {load.node}: ", "yellow"), (", ".join(f"{reason} {count}" for reason, count in load.errors.items()), "")]
        for load in loads
        if load.errors
    ]


def key_line(by: str, width: int) -> Line:
    line: Line = [(" sort ", DIM)]
    for key, title in SORTS.items():
        line += [(f" {key} ", "reverse"), (f"{title.lower()} ", "bold" if title == by else DIM)]
    line += [(" q ", "reverse"), ("quit", DIM)]
    return line if sum(len(text) for text, _ in line) <= width else [*line[: 2 * len(SORTS) - 1], *line[-2:]]


def page(before: State | None, now: State, size: tuple[int, int], by: str = GRAPH) -> list[Line]:
    """All lines of a terminal of `size` (width, height); what does not fit is left out from below."""
    width, height = size
    loads = node_loads(before, now)
    lines = [header(now, width), [], *table(loads, width, by)]
    paths, errors = paths_table(path_loads(before, now), width), error_lines(loads)
    for block in (paths, errors):
        free = height - 2 - len(lines) - 1
        if len(block) and free > 1:
            lines += [[], *block[:free]]
    lines = lines[: height - 1]
    return [*lines, *([[]] * (height - 1 - len(lines))), key_line(by, width)]
