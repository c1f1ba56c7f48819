"""Commands about kept voices: export to a file, import from one, delete."""

from __future__ import annotations

import argparse
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices.archive import SUFFIX, export_voice, import_voice
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.report.voice_card import consent_text
from audio_pipeline.terminal import printable, warn, write


def export(args: argparse.Namespace) -> int:
    """Writes a voice with its sample and its consent into one file."""
    path: Path = args.out or Path(f"{_plain(args.name)}{SUFFIX}")
    size = export_voice(Library(), args.name, path, with_sample=not args.without_sample, overwrite=args.force)
    holds = "" if args.without_sample else "; it holds the voice's sample, so give it only to those who may have that"
    write(f"written: {path}, {size / 1e6:.1f} MB{holds}")
    return 0


def bring(args: argparse.Namespace) -> int:
    """Keeps the voice that is in a file."""
    record = import_voice(Library(), args.file, now=now(), name=args.name or "")
    write(f"{record.name!r} is here: audio-pipeline say Hello. --voice {shlex.quote(record.name)}")
    write(f"consent: {consent_text(record)}")
    return 0


def delete(args: argparse.Namespace) -> int:
    """Removes everything of a voice, asking first where somebody can answer."""
    library = Library()
    damaged = args.name not in library and _damaged(library, args.name)
    name = damaged or library.record(args.name).name
    if not args.yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"delete removes all there is of {name!r}; add --yes")
        if not is_yes(ask(f"Remove {name!r} with its sample, style and consent? [y/N] ")):
            write("kept")
            return 1
    if damaged:
        library.delete_damaged(damaged)
    else:
        library.delete(name)
    write(f"removed {name!r}")
    return 0


def _damaged(library: Library, name: str) -> str | None:
    """The id of the damaged voice that `voices list` shows, given by it or by the folder's name."""
    return next((id_ for id_ in library.damaged() if name.partition("-")[0] == id_), None)


def ask(question: str) -> str:
    """What somebody types at the terminal; nothing where they end the input instead."""
    try:
        return input(printable(question, keep="\n")).strip()
    except EOFError:
        warn("")
        return ""


def is_yes(answer: str) -> bool:
    """
    >>> is_yes("Y"), is_yes("no"), is_yes("")
    (True, False, False)
    """
    return answer.lower() in ("y", "yes")


def now() -> str:
    """The time to write down: ISO 8601, UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _plain(name: str) -> str:
    """A file name that a voice's name suggests; only letters and digits of it.

    >>> _plain("../Ann O'Neil"), _plain("..")
    ('Ann-O-Neil', 'voice')
    """
    parts = "".join(sign if sign.isalnum() else " " for sign in name).split()
    return "-".join(parts)[:40] or "voice"
