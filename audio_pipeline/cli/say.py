"""Command `say`: speaks text with one of the voices, to a file or to the loudspeaker."""

from __future__ import annotations

import argparse
import codecs
import os
import select
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audio_pipeline.cli.say_into import into
from audio_pipeline.errors import ConfigError, DeviceError, PipelineError
from audio_pipeline.terminal import warn

if TYPE_CHECKING:
    from audio_pipeline.models.speech.talker import Talker

READ_BYTES = 256
STALL_S = 2.0
LONGEST = 50_000  # characters: an hour of speech
SLOWEST, FASTEST = 0.5, 2.0  # as the node tts takes it
Array = np.ndarray[Any, np.dtype[np.float32]]


def say(args: argparse.Namespace) -> int:
    """Speaks the text of the command line, or standard input while it is being written."""
    _check(args)
    from audio_pipeline.models.speech.clauses import for_a_file
    from audio_pipeline.models.speech.talker import Talker
    from audio_pipeline.models.voices.by_name import open_voice
    from audio_pipeline.models.voices.policy import open_mark

    portions: Iterable[str | None] = _piped() if args.text == ["-"] else [" ".join(args.text)]
    if args.into:
        return into(args, portions)
    clock = None if args.out else time.monotonic  # a file is the same on any machine
    engine = open_voice(args.voice or "light", speed=args.speed)
    policy = for_a_file(getattr(engine, "policy", None)) if args.out else None
    talker = Talker(engine, open_mark(), policy, clock=clock)
    write = _to_file if args.out else _to_speaker
    seconds = write(args, talker, portions)
    if not seconds:
        if args.text == ["-"]:
            raise ConfigError("standard input contained no text to speak")
        raise ConfigError(f"there is no text to speak in {' '.join(args.text)!r:.60}")
    return 0


def _check(args: argparse.Namespace) -> None:
    length = len(" ".join(args.text))
    if length > LONGEST:
        raise ConfigError(f"a text of {length} characters is too long, expected at most {LONGEST}; give it by a pipe")
    if not args.text and not (args.into and args.cancel):
        raise ConfigError("expected a text to speak, or - for standard input")
    if "-" in args.text and len(args.text) > 1:
        raise ConfigError("- stands for standard input and goes with no other text")
    if not SLOWEST <= args.speed <= FASTEST:
        raise ConfigError(f"--speed: expected {SLOWEST:g} to {FASTEST:g}, got {args.speed:g}")
    if (args.cancel or args.pipeline) and not args.into:
        raise ConfigError("--cancel and --pipeline go with --into NODE")
    if args.out and args.out.suffix.lower() not in (".wav", ".flac", ".ogg"):
        raise ConfigError(f"{str(args.out)!r}: expected a name that ends in .wav, .flac or .ogg")
    if args.out and not args.out.parent.is_dir():
        raise ConfigError(f"{str(args.out)!r} cannot be written: there is no folder {str(args.out.parent)!r}")


def _piped() -> Iterator[str | None]:
    """Standard input as it grows; None where nothing comes for long."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a letter may come in two halves
    file = sys.stdin.fileno()
    waiting = True
    while True:
        if waiting and not select.select([file], [], [], STALL_S)[0]:
            waiting = False  # reported once, until more comes
            warn(f"no further text for {STALL_S:g} s: speaking the text so far")
            yield None
        if not (portion := os.read(file, READ_BYTES)):
            return
        waiting = True
        yield decoder.decode(portion)


def spoken_pieces(talker: Talker, portions: Iterable[str | None]) -> Iterator[Array]:
    """The speech in pieces, with the time and text of each on a terminal."""
    began, spoken_s = time.perf_counter(), 0.0
    for piece in talker.synthesise(portions):
        took = time.perf_counter() - began
        spoken_s += len(piece.sound) / talker.rate
        if sys.stderr.isatty():
            warn(f"{took:6.2f} s  {piece.text}")
        yield piece.sound
    if left_out := talker.left_out():
        warn(f"left out as unpronounceable for this voice: {left_out}")
    took = time.perf_counter() - began
    if spoken_s and took > spoken_s and sys.stderr.isatty():
        warn(f"this voice took {took:.1f} s for {spoken_s:.1f} s of speech here: it pauses")


def _to_file(args: argparse.Namespace, talker: Talker, portions: Iterable[str | None]) -> float:
    import soundfile

    path: Path = args.out
    if path.exists() and not args.force:
        raise ConfigError(f"{str(path)!r} exists already; add --force to overwrite it")
    sounds = list(spoken_pieces(talker, portions))
    if sounds:
        try:
            soundfile.write(os.fsencode(path), np.concatenate(sounds), talker.rate)
        except (OSError, soundfile.LibsndfileError) as error:
            raise PipelineError(f"{str(path)!r} cannot be written: {error}") from error
    return sum(map(len, sounds)) / talker.rate


def _to_speaker(args: argparse.Namespace, talker: Talker, portions: Iterable[str | None]) -> float:
    from audio_pipeline.devices.queue_player import QueuePlayer

    try:
        player = QueuePlayer(args.device, talker.rate)
    except DeviceError as error:
        raise DeviceError(f"{error}; -o FILE writes a file instead") from error
    with player:
        for sound in spoken_pieces(talker, portions):
            player.put(sound)
        return player.finish()
