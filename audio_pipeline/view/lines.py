"""What the terminal view shows, as plain styled text: a state of the pipeline in, lines out."""

from __future__ import annotations

from collections.abc import Callable

from audio_pipeline.control.state import Status
from audio_pipeline.view.faders import Target, faders
from audio_pipeline.view.paths import allowed_ms, keeps
from audio_pipeline.view.screen import ScreenState
from audio_pipeline.view.table import rows, shown_levels, table
from audio_pipeline.view.text import (
    DIM,
    FADER_DB,
    Line,
    Part,
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


def header(status: Status, width: int) -> Line:
    """Name, mode, clock, rate and uptime."""
    about, now = status.description, status.meters
    mode: Part = ("● live", "green") if about.live else ("● offline", "cyan")
    if now.ended:
        mode = ("● ended", DIM)
    frames = f"{about.rate} Hz · {about.frame_samples} samples"
    clock = f"clock {now.master} {now.ppm:+.1f} ppm · {frames}"
    right: Line = [(f"{clock} · up {clock_text(now.uptime_s)} ", DIM)]
    left: Line = [(f" {about.name} ", "bold reverse cyan"), ("  ", ""), mode]
    return spread(left, right, width)


def song_of(status: Status) -> str | None:
    """The source that the transport keys move: the first that plays something with a name, else the first."""
    songs = status.songs
    return next((name for name, song in songs.items() if song.media_id), next(iter(songs), None))


def song_line(status: Status, width: int, title: str = "") -> Line | None:
    """What plays, where it is, and a bar; None where nothing can be played or paused."""
    name = song_of(status)
    if name is None:
        return None
    song = status.songs[name]
    title = (title or song.media_id or name)[: width // 2]
    left: Line = [
        (" ▶ " if song.playing else " ⏸ ", "cyan" if song.playing else "yellow"),
        (f"{title} ", "bold"),
    ]
    left.append((f" {clock_text(song.media_s)} ", ""))
    tail: Line = [(f" {clock_text(song.length_s)}" + (" · loop" if song.loop else ""), DIM)]
    bar = width - width_of(left) - width_of(tail) - 1
    return [*left, *progress_bar(song.media_s / song.length_s if song.length_s else 0.0, max(bar, 0)), *tail]


def fader_line(status: Status, target: Target | None) -> Line | None:
    """The mixer's inputs; `target` is the one that the keys move."""
    if target is None:
        return None
    line: Line = []
    for fader in faders(status.description.nodes[target.node]):
        moves = fader.input == target.input
        about = "muted" if fader.mute else f"{fader.gain_db:+.1f} dB" + (" solo" if fader.solo else "")
        style = "yellow" if fader.mute else "bold" if moves else ""
        if moves:
            share = (fader.gain_db - FADER_DB[0]) / (FADER_DB[1] - FADER_DB[0])
            slider = progress_bar(share, 16, "yellow" if fader.mute else "magenta")
            line = [(f" ⇅ {fader.input} ", "bold"), *slider, (f" {about}", style), *line]
        else:
            line.append((f"   {fader.input} {about}", style or DIM))
    return line


def path_line(status: Status) -> Line | None:
    """Each way sound takes from a source to an output, with its latency and budget."""
    line: Line = []
    for path in status.present_paths[:3]:
        line.append((" " + " › ".join(path.path), DIM))
        limit_ms = allowed_ms(status, path)
        within = "" if limit_ms is None else f" of {limit_ms:.0f}"
        line.append((f" {ms_text(path.total_ms)}{within}  ", "" if keeps(status, path) else "bold red"))
    return line or None


def news(state: ScreenState, count: int) -> list[Line]:
    """The last `count` lines of the log, deaths and failures marked."""
    shown = state.log[-count:] if count > 0 else []
    return [[(f" {text}", "yellow" if " died (" in text else DIM)] for text in shown]


def key_line(width: int) -> Line:
    """The keys and what they do, closer together in a narrow terminal."""
    pad = " " if width >= 96 else ""
    line: Line = [(" ", "")]
    for key, what in KEYS:
        line += [(f"{pad}{key}{pad}", "reverse"), (f" {what}{pad}  ", DIM)]
    return line


def page(
    state: ScreenState,
    size: tuple[int, int],
    target: Target | None,
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
    free = height - len(lines) - 3
    lines += [[], *news(state, free)] if free > 0 else []
    lines = lines[: height - 2]
    lines += [[] for _ in range(height - 2 - len(lines))]
    return [*lines, [(f" {message}", "bold")], key_line(width)]


def log_line(status: Status) -> str:
    """One line for a log: where the sound is, how loud, how late, what was lost."""
    nodes, links = status.nodes, status.meters.links
    levels = []
    for node in nodes:
        peaks = [db_text(peak_db) for peak_db, _ in shown_levels(node.meters).values()]
        levels += [f"{node.name} {'/'.join(peaks)}"] if peaks else []
    p99_ms = max((link.age_p99_ms for link in links), default=0.0)
    lost = sum(link.dropped for link in links)
    restarts = sum(node.meters.restarts for node in nodes)
    troubled = [f"{node.name} {node.meters.state}" for node in nodes if node.meters.state not in CALM]
    seconds = f"{content_s(status):.1f} s"
    parts = [seconds, f"dBFS {' '.join(levels)}" if levels else "", *troubled, f"age p99 {ms_text(p99_ms)}"]
    return " | ".join([*filter(None, parts), f"drops {lost}", f"restarts {restarts}"])


CALM = ("running", "ended")
