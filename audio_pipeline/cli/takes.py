"""`audio-pipeline takes`: recordings and the state they are in; `--repair` finishes those that were cut off."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from audio_pipeline.cli.text import columns
from audio_pipeline.errors import MediaError, PipelineError
from audio_pipeline.files.take_mend import Found, Inspected, inspect, repair_file, repair_take, takes_below
from audio_pipeline.files.wav_mend import State, inspect_wav
from audio_pipeline.terminal import warn, write
from audio_pipeline.view.text import clock_text

HERE = (Path("takes"), Path("."))  # where `run` leaves them


def takes(args: argparse.Namespace) -> int:
    """Lists takes; returns 1 where something is not whole, or could not be repaired."""
    places = args.folders or [path for path in HERE if path.is_dir()]
    files = [path for path in places if not path.is_dir()]
    folders = list(dict.fromkeys(folder for place in places for folder in takes_below(place)))
    well = all([_file(path, repair=args.repair) for path in files])
    for folder in folders:
        well = _repaired(folder) and well if args.repair else well
        looked = inspect(folder)
        write(*lines(looked))
        well = well and looked.is_well
    if not folders and not files:
        write(f"no recordings in {' or '.join(str(place) for place in places or HERE)}")
    return int(not well)


def _repaired(folder: Path) -> bool:
    try:
        write(*repair_take(folder))
    except PipelineError as error:
        warn(f"audio-pipeline: {error}")
        return False
    return True


def _file(path: Path, *, repair: bool) -> bool:
    """A file of any writer."""
    try:
        if repair:
            write(*repair_file(path))
        wav = inspect_wav(path)
    except MediaError as error:
        warn(f"audio-pipeline: {error}")
        return False
    form = f"{wav.rate} Hz, {wav.channels} channels, {wav.encoding}"
    write(f"{path}: {clock_text(wav.seconds)}, {form}, {wav.state.value}")
    return wav.state is State.WHOLE


def lines(looked: Inspected) -> Iterator[str]:
    """A take: its folder, a line a track, and what is wrong with its sidecar."""
    yield f"{looked.folder}"
    yield from columns([_row(track) for track in looked.tracks], right=[1])
    if looked.damage:
        yield f"  {looked.damage}"
    if not looked.is_well:
        yield "  audio-pipeline takes --repair completes interrupted recordings"


def _row(track: Found) -> Sequence[str]:
    wav, info = track.wav, track.info
    length = clock_text(wav.seconds) if wav else ""
    facts = [track.state]
    for spans, name in ((info.gaps, "hole"), (info.concealed, "stand-in"), (info.jumps, "jump")) if info else ():
        if spans:
            total_s = sum(span["samples"] for span in spans) / info.rate if info else 0.0
            facts.append(f"{len(spans)} {name}{'s' if len(spans) > 1 else ''} of {total_s:.3f} s")
    if info and info.clipped:
        facts.append(f"{info.clipped} values cut at full scale")
    if info and info.gain_db:
        facts.append(f"{info.gain_db:+g} dB")
    return track.name.removesuffix(".wav"), length, ", ".join(facts)
