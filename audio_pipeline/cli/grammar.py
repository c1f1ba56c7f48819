"""The grammar of `audio-pipeline`: commands, arguments, options."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NoReturn

from audio_pipeline.cli.voices_parser import add_voices
from audio_pipeline.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Reports an error in one sentence, as every other error is reported."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]  # the program's own name stands before every error
        raise ConfigError(f"{command}{': ' if command else ''}{message}; see {self.prog} --help")


def make_parser() -> tuple[Parser, list[str]]:
    """The parser and the names of its commands."""
    parser = Parser("audio-pipeline", description="Real-time audio as a graph of supervised processes.")
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("--debug", action="store_true", help="show where an error was raised")
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    _add_pipeline_commands(commands)
    _add_host_commands(commands)
    _add_serve(commands)
    _add_client(commands)
    _add_attached_commands(commands)
    return parser, list(commands.choices)


def _version() -> str:
    from importlib.metadata import version

    return f"audio-pipeline {version('audio-pipeline')}"


Commands = argparse._SubParsersAction  # the type of what add_subparsers returns has no public name


def _add(commands: Commands[Parser], name: str, function: str, about: str) -> Parser:
    parser = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.set_defaults(function=function)
    return parser


def _add_pipeline_commands(commands: Commands[Parser]) -> None:
    run = _add(commands, "run", "run:run", "run a pipeline until its end, q or Ctrl-C")
    check = _add(commands, "check", "check:check", "validate a pipeline; print its graph, latency and links")
    for parser in (run, check):
        which = "a YAML file, or the name of a bundled pipeline; a file of exactly that name wins"
        parser.add_argument("config", metavar="CONFIG", help=which)
        parser.add_argument(
            "--set",
            action="append",
            default=[],
            dest="sets",
            metavar="KEY=VALUE",
            help="change a key of the file, such as nodes.song.path=song.mp3",
        )
        shared = "share models, workers and a process, so that a second pipeline costs little; as --set host=shared"
        parser.add_argument("--shared", action="append_const", const="host=shared", dest="sets", help=shared)
        parser.add_argument("--offline", action="store_true", help="as fast as possible, without loss")
    run.add_argument("--duration", type=_seconds, metavar="SECONDS", help="stop after this duration of sound")
    run.add_argument("--folder", type=Path, metavar="DIR", help="folder of the take (takes/NAME-TIME)")
    run.add_argument("--no-view", action="store_true", help="a log line a second instead of the view")
    run.add_argument(
        "--metrics", metavar="[HOST:]PORT", help="address of the Prometheus endpoint (this host by default)"
    )
    run.add_argument("--log-format", choices=("text", "json"), help="one line for each event: text, or a JSON object")
    run.add_argument("--log-file", type=Path, metavar="FILE", help="file for events; without it they replace the view")
    run.add_argument(
        "--at",
        action="append",
        default=[],
        metavar="TIME:NODE.NAME=VALUE",
        help="set a live value at a position: 5s:mix.inputs.vocals.gain_db=-60",
    )


def _add_host_commands(commands: Commands[Parser]) -> None:
    _add(commands, "devices", "host:devices", "list sound devices")
    _add(commands, "doctor", "doctor:doctor", "check this host; print the command that mends each lack")
    takes = _add(commands, "takes", "takes:takes", "list recordings and their state; 1 if one is not whole")
    takes.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="folder or WAV file (default: takes and this folder)"
    )
    takes.add_argument(
        "--repair", action="store_true", help="complete interrupted recordings from the length of the files"
    )
    about = "list what dead pipelines left here, 1 if anything, and the services that pipelines share"
    left = _add(commands, "leftovers", "leftovers:leftovers", about)
    left.add_argument("--sweep", action="store_true", help="end the processes and remove the folders")
    what = "end a service; its users play their on_loss until the next one is ready"
    left.add_argument("--end", action="append", default=[], metavar="SERVICE", help=what)
    models = _add(commands, "models", "host:models", "list, fetch or verify model weights")
    models.add_argument("action", nargs="?", choices=("list", "fetch", "verify"), default="list")
    models.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="weights; default: all, for fetch those of the bundled pipelines",
    )
    models.add_argument("--all", action="store_true", help="fetch all weights")
    keys = _add(commands, "keys", "keys:keys", "make, show, allow, list or remove keys for links to other hosts")
    keys.add_argument("action", choices=("new", "show", "allow", "list", "remove"))
    keys.add_argument("name", nargs="?", metavar="NAME", help="name of your key (new, show) or of the other host's")
    keys.add_argument("key", nargs="?", metavar="KEY", help="allow: the other host's public key")
    keys.add_argument(
        "--role",
        default="listen",
        choices=("host", "listen", "play", "control"),
        help="allow: role of the other host (listen)",
    )
    add_voices(_add(commands, "voices", "", "make voices from recordings; list, compare, export and delete them"))
    say = _add(commands, "say", "say:say", "speak text with a synthetic voice")
    say.add_argument("text", nargs="*", metavar="TEXT", help="the text, or - to read standard input as it arrives")
    say._negative_number_matcher = re.compile(r"-[^A-Za-z-]")  # -$20 is a text, no option
    say.add_argument("--voice", metavar="NAME", help="light, one of Kokoro's, or an enrolled one (default: light)")
    say.add_argument("--into", metavar="NODE", help="speak with this voice of a running pipeline")
    say.add_argument("--cancel", action="store_true", help="with --into: stop the current speech")
    say.add_argument("--pipeline", metavar="NAME", help="with --into: the running pipeline, if there are several")
    say.add_argument("--speed", type=float, default=1.0, metavar="N", help="pace, 0.5 to 2; 1 is the voice's own (1)")
    say.add_argument("-o", "--out", type=Path, metavar="FILE", help="write a .wav, .flac or .ogg instead of playing")
    say.add_argument("--force", action="store_true", help="overwrite an existing file")
    say.add_argument("--device", default="default", metavar="NAME", help="sound output; null discards the sound")
    detect = _add(commands, "detect", "detect:detect", "check sound files for the watermark of made speech")
    detect.add_argument("files", nargs="+", type=Path, metavar="FILE")
    detect.epilog = "Exit code 0: all of them carry it; 1: one does not; 2 and more: a file could not be read."
    nodes = _add(commands, "nodes", "nodes:nodes", "list node kinds and their settings")
    nodes.add_argument("kind", nargs="?", metavar="KIND")
    nodes.add_argument("--markdown", type=Path, metavar="DIR", help="write a page for each kind to this folder")


def _add_serve(commands: Commands[Parser]) -> None:
    serve = _add(commands, "serve", "serve:serve", "run the service for browsers and programs; prints a login link")
    serve.add_argument("--listen", default="8080", metavar="[HOST:]PORT", help="where (127.0.0.1:8080)")
    where = "a URL under which a proxy shows the service, such as https://music.example"
    serve.add_argument("--public", action="append", default=[], metavar="URL", help=where)
    serve.add_argument("--state", type=Path, metavar="DIR", help="sessions, files, cookies ($XDG_STATE_HOME)")
    serve.add_argument("--upload-mb", type=float, default=512.0, metavar="MB", help="largest file of a user (512)")
    what = "a session that plays for as long as the service runs, such as karaoke_browser"
    serve.add_argument("--session", default="", metavar="CONFIG", help=what)
    serve.add_argument("--link", action="store_true", help="print another login link of the service that runs")
    serve.add_argument("--new-key", metavar="NAME", help="make an API key for a program, and print it this once")
    serve.add_argument("--remove-key", metavar="NAME", help="an API key is no good any more")
    serve.add_argument("--list-keys", action="store_true", help="list the API keys and their roles")
    roles = "with --link and --new-key: listen, play or control (control)"
    serve.add_argument("--role", default="control", choices=("listen", "play", "control"), help=roles)
    serve.add_argument("--name", default="guest", metavar="NAME", help="with --link: what its user is called")


def _add_client(commands: Commands[Parser]) -> None:
    client = _add(commands, "client", "client:client", "connect this host's sound card to a pipeline on another host")
    client.add_argument("host", metavar="HOST[:PORT]", help="address of its gateway; port 7700 by default")
    client.add_argument("--key", default="", metavar="NAME", help="its key in the address book, if not named HOST")
    client.add_argument("--own", default="", metavar="NAME", help="name of this host's key, if it has several")
    client.add_argument("--play", default="", metavar="PORT", help="an exported output, such as mix (the first one)")
    client.add_argument(
        "--mic", default="", metavar="NODE", help="send this host's microphone to a remote_mic of that host"
    )
    client.add_argument("--device", default="auto", metavar="DEVICE", help="sound output: auto, null, name or number")
    client.add_argument("--input", default="default", metavar="DEVICE", help="microphone: default, name or number")
    client.add_argument("--duration", type=_seconds, metavar="SECONDS", help="stop after this time")


def _add_attached_commands(commands: Commands[Parser]) -> None:
    view = _add(commands, "view", "attach:view", "show a running pipeline, its meters and faders")
    top = _add(commands, "top", "attach:top", "show what each node of a running pipeline does, as pw-top does")
    top.add_argument("--once", action="store_true", help="print once, measured over one interval")
    top.add_argument("--json", action="store_true", help="JSON: one line for each interval, or one with --once")
    top.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="SECONDS", help="interval between measurements (1)"
    )
    top.add_argument("--sort", type=_sort, default="graph", metavar="COLUMN", help="graph, node, wait, busy, err, ...")
    scrape = _add(commands, "metrics", "observe:metrics", "print the metrics that Prometheus would get")
    logs = _add(commands, "logs", "observe:logs", "print what the nodes of a running pipeline printed")
    logs.add_argument(
        "node", nargs="?", metavar="NODE", help="of this node; default: of all, and the pipeline's own log"
    )
    logs.add_argument("-f", "--follow", action="store_true", help="follow new output")
    tap = _add(commands, "tap", "tap:tap", "listen to any link of a running pipeline, without disturbing it")
    tap.add_argument("target", metavar="NODE[.PORT]", help="an output, or an input, for the sound that arrives there")
    tap.add_argument("--wav", type=Path, metavar="FILE", help="record it, sample for sample")
    tap.add_argument("--seconds", type=_seconds, metavar="SECONDS", help="stop after this duration of sound")
    tap.add_argument("--level", action="store_true", help="show levels only")
    tap.add_argument(
        "--spectrogram", nargs="?", type=Path, const="live", metavar="PNG", help="on the screen, or as a picture"
    )
    change = _add(commands, "set", "attach:change", "change a live setting of a running pipeline")
    change.add_argument("assignments", nargs="+", metavar="NODE.NAME=VALUE", help="mix.inputs.vocals.gain_db=-6")
    graph = _add(commands, "graph", "graph:graph", "show, change or save the graph of a running pipeline")
    graph.add_argument(
        "action",
        nargs="*",
        metavar="ACTION",
        help="show, save FILE, apply FILE, undo, redo; or connect "
        "A.out B.in, disconnect B.in, add NAME KIND, remove NAME, bypass NAME on|off, + between several",
    )
    graph.add_argument("--force", action="store_true", help="save: replace an existing file")
    stop = _add(commands, "stop", "attach:stop", "end a running pipeline cleanly")
    songs = [_add(commands, name, "attach:transport", about) for name, about in TRANSPORT.items()]
    for parser in songs:
        parser.add_argument("--node", metavar="NAME", help="the source, if there are several")
        parser.set_defaults(command=parser.prog.split()[-1])
    songs[2].add_argument("seconds", type=_seconds, metavar="SECONDS", help="song time: 83, 1:23")
    songs[4].add_argument("on", choices=("on", "off"))
    for parser in (view, top, scrape, logs, tap, change, graph, stop, *songs):
        parser.add_argument("--pipeline", metavar="NAME", help="the pipeline, if several run; or tcp://HOST")


TRANSPORT = {
    "play": "resume the song",
    "pause": "pause the song",
    "seek": "go to a time in the song",
    "next": "go to the next song",
    "loop": "turn repetition on or off",
}


def _sort(text: str) -> str:
    """
    >>> _sort("busy"), _sort("age"), _sort("graph")
    ('BUSY', 'AGE99', 'graph')
    """
    from audio_pipeline.view.top_page import SORTS

    found = [title for title in SORTS.values() if title.lower().startswith(text.lower())]
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(SORTS.values()).lower()}, got {text!r}")
    return found[0]


def _seconds(text: str) -> float:
    """
    >>> _seconds("83"), _seconds("1:23"), _seconds("30s")
    (83.0, 83.0, 30.0)
    """
    try:
        *minutes, seconds = text.removesuffix("s").split(":")
        value = float(seconds) + sum(60.0**power * int(part) for power, part in enumerate(reversed(minutes), 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected seconds or m:ss, got {text!r}") from None
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds >= 0, got {text!r}")
    return value
