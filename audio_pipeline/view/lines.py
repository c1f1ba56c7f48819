"""What the terminal view shows, as plain styled text: a state of the pipeline in, lines out."""

from __future__ import annotations

from collections.abc import Callable

from audio_pipeline.view.paths import allowed_ms, keeps, present_paths
from audio_pipeline.view.table import drops, rows, shown_levels, table
from audio_pipeline.view.text import (
    DIM,
    FADER_DB,
    Line,
    Part,
    State,
    clock_text,
    content_s,
    db_text,
    ms_text,
    progress_bar,
    spread,
    width_of,
)

KEYS = (
    ("↑↓", "voice"),
    ("m", "mute"),
    ("s", "solo"),
    ("space", "pause"),
    ("←→", "seek"),
    ("n", "next"),
    ("l", "loop"),
    ("q", "quit"),
)


def header(state: State, width: int) -> Line:
    """Name, mode, clock, rate and uptime."""
    mode: Part = ("● live", "green") if state["live"] else ("● offline", "cyan")
    if state.get("ended"):
        mode = ("● ended", DIM)
    clock = state["clock"]
    frames = f"{state['rate']} Hz · {state['frame_samples']} samples"
    about = f"clock {clock['master']} {clock['ppm']:+.1f} ppm · {frames}"
    right: Line = [(f"{about} · up {clock_text(state['uptime_s'])} ", DIM)]
    left: Line = [(f" {state['name']} ", "bold reverse cyan"), ("  ", ""), mode]
    return spread(left, right, width)


def song_of(state: State) -> str | None:
    """The source that the transport keys move: the first that plays something with a name, else the first."""
    songs = state.get("transport", {})
    return next((name for name, song in songs.items() if song["media_id"]), next(iter(songs), None))


def song_line(state: State, width: int, title: str = "") -> Line | None:
    """What plays, where it is, and a bar; None where nothing can be played or paused."""
    name = song_of(state)
    if name is None:
        return None
    song = state["transport"][name]
    title = (title or song["media_id"] or name)[: width // 2]
    length_s = song["length_s"] or 0.0
    left: Line = [
        (" ▶ " if song["playing"] else " ⏸ ", "cyan" if song["playing"] else "yellow"),
        (f"{title} ", "bold"),
    ]
    left.append((f" {clock_text(song['media_s'])} ", ""))
    tail: Line = [(f" {clock_text(length_s)}" + (" · loop" if song["loop"] else ""), DIM)]
    bar = width - width_of(left) - width_of(tail) - 1
    return [*left, *progress_bar(song["media_s"] / length_s if length_s else 0.0, max(bar, 0)), *tail]


def fader_line(state: State, target: tuple[str, str] | None) -> Line | None:
    """The mixer's inputs; `target` (node, input) is the one that the keys move."""
    if target is None:
        return None
    node, chosen = target
    line: Line = []
    for name, values in state["nodes"][node]["settings"].get("inputs", {}).items():
        gain_db, off = values.get("gain_db", 0.0), values.get("mute", False)
        words = "muted" if off else f"{gain_db:+.1f} dB" + (" solo" if values.get("solo") else "")
        style = "yellow" if off else "bold" if name == chosen else ""
        if name == chosen:
            share = (gain_db - FADER_DB[0]) / (FADER_DB[1] - FADER_DB[0])
            slider = progress_bar(share, 16, "yellow" if off else "magenta")
            line = [(f" ⇅ {name} ", "bold"), *slider, (f" {words}", style), *line]
        else:
            line.append((f"   {name} {words}", style or DIM))
    return line


def path_line(state: State) -> Line | None:
    """Each way sound takes from a source to an output, with its latency and budget."""
    line: Line = []
    for path in sorted(present_paths(state), key=lambda path: not path["monitor"])[:3]:
        line.append((" " + " › ".join(path["path"]), DIM))
        within = "" if path["budget_ms"] is None else f" of {allowed_ms(state, path):.0f}"
        line.append((f" {ms_text(path['total_ms'])}{within}  ", "" if keeps(state, path) else "bold red"))
    return line or None


def news(state: State, count: int) -> list[Line]:
    """The last `count` lines of the log, deaths and failures marked."""
    shown = state["log"][-count:] if count > 0 else []
    return [[(f" {text}", "yellow" if " died (" in text else DIM)] for text in shown]


def key_line(width: int) -> Line:
    """The keys and what they do, closer together in a narrow terminal."""
    pad = " " if width >= 96 else ""
    line: Line = [(" ", "")]
    for key, what in KEYS:
        line += [(f"{pad}{key}{pad}", "reverse"), (f" {what}{pad}  ", DIM)]
    return line


def page(
    state: State,
    size: tuple[int, int],
    target: tuple[str, str] | None,
    hold: Callable[[str, float], float],
    *,
    message: str = "",
    title: str = "",
) -> list[Line]:
    """All lines of a terminal of `size` (width, height)."""
    width, height = size
    top = [header(state, width), [], song_line(state, width, title), fader_line(state, target)]
    lines: list[Line] = [line for line in top if line is not None]
    full = rows(state, ports=True)
    fits = len(lines) + len(full) + 7 <= height
    lines += [[], *table(full if fits else rows(state, ports=False), width, hold)]
    paths = path_line(state)
    lines += [[], paths] if paths and len(lines) + 4 <= height else []
    room = height - len(lines) - 3
    lines += [[], *news(state, room)] if room > 0 else []
    lines = lines[: height - 2]
    lines += [[] for _ in range(height - 2 - len(lines))]
    return [*lines, [(f" {message}", "bold")], key_line(width)]


def log_line(state: State) -> str:
    """One line for a log: where the sound is, how loud, how late, what was lost."""
    levels = []
    for name, node in state["nodes"].items():
        peaks = [db_text(peak_db) for peak_db, _ in shown_levels(node).values()]
        levels += [f"{name} {'/'.join(peaks)}"] if peaks else []
    p99_ms = max((link["age_ms"]["p99"] for link in state["links"]), default=0.0)
    lost = sum(drops(link) for link in state["links"])
    restarts = sum(node.get("restarts", 0) for node in state["nodes"].values())
    troubled = [f"{name} {node['state']}" for name, node in state["nodes"].items() if node["state"] not in CALM]
    seconds = f"{content_s(state):.1f} s"
    parts = [seconds, f"dBFS {' '.join(levels)}" if levels else "", *troubled, f"age p99 {ms_text(p99_ms)}"]
    return " | ".join([*filter(None, parts), f"drops {lost}", f"restarts {restarts}"])


CALM = ("running", "ended")
