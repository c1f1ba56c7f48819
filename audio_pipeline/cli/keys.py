"""`audio-pipeline keys`: this host's keys, and whom it knows."""

from __future__ import annotations

import argparse
import socket

from audio_pipeline.errors import ConfigError
from audio_pipeline.keys import ROLES, Keys
from audio_pipeline.terminal import write

MAY = {
    "host": "nothing here; this host connects to it",
    "listen": "receive what is exported, and see the state",
    "play": "the same, and feed what waits for sound from other hosts",
    "control": "the same, and change settings and transport, and stop",
}


def keys(args: argparse.Namespace) -> int:
    """Makes, shows, allows, lists or removes keys."""
    actions = {"new": _new, "show": _show, "allow": _allow, "list": _list, "remove": _remove}
    actions[args.action](Keys(), args)
    return 0


def _new(held: Keys, args: argparse.Namespace) -> None:
    name = args.name or socket.gethostname().split(".")[0] or "this"
    pair = held.new(name)
    write(
        f"{pair.public}\nis the public key of {name!r}. On the other host: audio-pipeline keys allow {name} "
        f"'{pair.public}'"
    )


def _show(held: Keys, args: argparse.Namespace) -> None:
    write(held.mine(args.name or "")[1].public)


def _allow(held: Keys, args: argparse.Namespace) -> None:
    if not args.name or not args.key:
        raise ConfigError("keys allow: expected a name and a public key")
    held.allow(args.name, args.key, args.role)
    write(
        f"{args.name} is in the address book; it may do {MAY[args.role]}"
        if args.role == "host"
        else f"{args.name} may {MAY[args.role]}"
    )


def _list(held: Keys, args: argparse.Namespace) -> None:
    for name, pair in held.own.items():
        write(f"{pair.public}  {name}  (this host)")
    for name, known in held.known.items():
        write(f"{known.public}  {name}  {known.role}")
    if not held.own and not held.known:
        write(f"no keys in {held.folder}; make one with `audio-pipeline keys new`")


def _remove(held: Keys, args: argparse.Namespace) -> None:
    if not args.name:
        raise ConfigError("keys remove: expected a name")
    write(f"removed {args.name} ({'a key of this host' if held.remove(args.name) == 'own' else 'known host'})")


__all__ = ["ROLES", "keys"]
