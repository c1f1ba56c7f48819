"""Writes `report.html`: one file that shows what a run sounded like and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from audio_pipeline.control.state import State, Status
from audio_pipeline.host.machine import machine
from audio_pipeline.private_file import write_whole
from audio_pipeline.report import page
from audio_pipeline.report.gallery import gallery
from audio_pipeline.report.latency import histograms, latency_paths
from audio_pipeline.report.tracks import tracks as tracks_shown
from audio_pipeline.terminal import printable

NAME = "report.html"
MOST_PICTURES = 24  # of 107 kB each; a VAD leaves a file an utterance, and the page must open


def write_report(folder: Path, state: State, tracks: Sequence[Path]) -> Path:
    """Writes the page for a run into `folder` and returns its path.

    `state` is the last one of the pipeline; `tracks` are sound files in or below `folder`. One that
    cannot be read, or only slowly, is named on the page, and the rest is shown: the first 24 as pictures, the others as
    links. Raises OSError where the disk refuses; a report that was there before stays whole.
    """
    names = [path.relative_to(folder).as_posix() for path in tracks]
    shown = gallery(dict(zip(names[:MOST_PICTURES], tracks, strict=False)))
    sound = tracks_shown(shown.pictures, shown.failures, names[MOST_PICTURES:])
    target = folder / NAME
    write_whole(target, printable(_html(state, sound), keep="\n\t"))
    return target


def credit(status: Status) -> str:
    """Whose song it is, where it is the demo; empty for people's own."""
    from audio_pipeline.models.weights.store import REGISTRY

    nodes = status.description.nodes
    demos = {song.media_id for name, song in status.songs.items() if nodes[name].settings.get("path") == "demo"}
    found = [asset for asset in REGISTRY.values() if demos & set(asset.files)]
    return "; ".join(f"{asset.credit}, {asset.licence}" for asset in found)


def _html(state: State, sound: str) -> str:
    resources = files("audio_pipeline.report")
    style, script = (resources.joinpath(f"report.{kind}").read_text("utf-8") for kind in ("css", "js"))
    title, when = escape(state.description.name), datetime.now().strftime("%-d %B %Y, %H:%M")
    song = f"<p>Song: {escape(credit(state))}</p>" if credit(state) else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}, {when}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{style}</style></head>'
        f'<body><header><h1>{title}</h1><p class="lead">{when}</p>{song}</header>'
        f"{page.figures(state)}{_sections(state, sound)}"
        f'<footer class="soft">Written by audio-pipeline when the run ended.</footer>'
        f"<script>{script}</script></body></html>\n"
    )


def _sections(state: State, sound: str) -> str:
    ages = "Age is the time from a frame's capture, or its emission by a file, until the next node takes it. "
    parts = [
        page.section("Sound", sound, "Click into a picture to listen from there."),
        page.section(
            "Latency",
            latency_paths(state) + histograms(state),
            f"{ages}A dashed line marks the link's budget.",
        ),
        page.section("Ledger", page.ledger(state), "Offered = delivered + dropped + under way, link by link."),
        page.section("Incidents", page.incidents(state)),
        page.section("Nodes", page.nodes(state)),
        page.section("Settings", page.settings(state), "As they were at the end."),
        page.section("Machine", f'<div class="card">{page.pairs(machine())}</div>'),
    ]
    return "".join(parts)
