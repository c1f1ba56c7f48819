"""The grammar of `audio-pipeline voices`."""

from __future__ import annotations

import argparse
from pathlib import Path

from audio_pipeline.errors import ConfigError

HELP = {
    "enrol": ("voices_enrol:enrol", "create a voice from a recording of a speaker who agrees"),
    "list": ("voices:listing", "list the available voices"),
    "show": ("voices:show", "the card of a voice: how alike, how good the sample, whose consent"),
    "score": ("voices:score", "how alike two speakers are: sound files, or the samples of enrolled voices"),
    "refine": ("voices_refine:refine", "search for a style nearer to the speaker (needs PyTorch)"),
    "export": ("voices_keep:export", "write a voice into one file"),
    "import": ("voices_keep:bring", "keep the voice that is in a file"),
    "delete": ("voices_keep:delete", "remove all there is of a voice"),
    "sentence": ("voices_consent:sentence", "a sentence to read aloud, for enrol --proof"),
}


def add_voices(voices: argparse.ArgumentParser) -> None:
    """The actions, each with its options."""
    voices.set_defaults(function="voices_parser:missing")
    actions = voices.add_subparsers(metavar="ACTION", parser_class=type(voices))
    parsers = {}
    for name, (function, about) in HELP.items():
        parsers[name] = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        parsers[name].set_defaults(function=function)
    for name in ("show", "refine", "export", "delete"):
        also = ", or the id that `voices list` shows of a damaged one" if name == "delete" else ""
        parsers[name].add_argument("name", metavar="NAME", help=f"of an enrolled voice{also}")
    _enrol(parsers["enrol"])
    parsers["show"].add_argument("--json", action="store_true", help="all its data, as JSON")
    parsers["show"].add_argument("--html", type=Path, metavar="FILE", help="write it as a page")
    parsers["show"].add_argument("--png", type=Path, metavar="FILE", help="write its picture")
    of = "a file with 1.6 s of speech or more, or the name of an enrolled voice, which stands for its speaker's sample"
    parsers["score"].add_argument("files", nargs=2, metavar="VOICE", help=of)
    parsers["refine"].add_argument("--minutes", type=float, default=3.0, metavar="N", help="duration (3)")
    parsers["export"].add_argument("-o", "--out", type=Path, metavar="FILE", help="destination (NAME.voice)")
    parsers["export"].add_argument("--without-sample", action="store_true", help="omit the recording")
    for name in ("show", "export"):
        parsers[name].add_argument("--force", action="store_true", help="overwrite an existing file")
    parsers["import"].add_argument("file", type=Path, metavar="FILE", help="a file of `voices export`")
    parsers["import"].add_argument("--name", metavar="NAME", help="new name")
    parsers["delete"].add_argument("--yes", action="store_true", help="do not ask for confirmation")


def _enrol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="ten seconds of a voice, or several clips")
    parser.add_argument("--name", required=True, metavar="NAME", help="name of the voice")
    parser.add_argument("--record", type=float, metavar="SECONDS", help="record it now, with the microphone")
    parser.add_argument("--device", default="default", metavar="DEVICE", help="microphone: default, name or number")
    consent = parser.add_mutually_exclusive_group()
    consent.add_argument("--consent", metavar="STATEMENT", help="the speaker agrees; without it the command asks")
    consent.add_argument("--prove", action="store_true", help="prove the consent by reading a sentence aloud now")
    consent.add_argument("--proof", type=Path, metavar="FILE", help="or by a recording of `voices sentence`'s sentence")
    parser.add_argument("--speaker", metavar="NAME", help="the speaker's name, if not the voice's (--prove)")
    parser.add_argument("--british", action="store_true", help="British pronunciation")
    parser.add_argument("--forget-sample", action="store_true", help="do not keep the recording (then no refine)")
    parser.add_argument(
        "--force", action="store_true", help="accept two voices as one, or a synthetic voice as a sample"
    )


def missing(args: argparse.Namespace) -> int:
    """Refuses `voices` without an action."""
    raise ConfigError(f"voices: expected one of {', '.join(HELP)}; see audio-pipeline voices --help")
