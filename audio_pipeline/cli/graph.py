"""`audio-pipeline graph`: shows, changes and saves the graph of a running pipeline."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audio_pipeline.cli.attach import attached
from audio_pipeline.control.client import Client
from audio_pipeline.control.replies import EditReply
from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.graph.text import graph_text, read_patch, save_graph
from audio_pipeline.graph.yamlfile import parse_yaml
from audio_pipeline.graph_changes import Add, Bypass, Connect, Disconnect, GraphChange, Remove
from audio_pipeline.terminal import write

USAGE = {
    "show": "show",
    "save": "save FILE [--force]",
    "apply": "apply PATCH.yaml",
    "undo": "undo",
    "redo": "redo",
    "connect": "connect NODE[.OUT] NODE[.IN] [KEY=VALUE ...]",
    "disconnect": "disconnect NODE.IN",
    "add": "add NAME KIND [KEY=VALUE ...] [in=NODE[.OUT]]",
    "remove": "remove NAME",
    "bypass": "bypass NAME on|off",
}
Keys = dict[str, Any]


def graph(args: argparse.Namespace) -> int:
    """One action, or several changes with `+` between them, which are made together or not at all."""
    phrase = args.action or ["show"]
    action, rest = phrase[0], phrase[1:]
    whole: Mapping[str, Callable[[Client, Sequence[str], bool], str]] = {
        "show": _show,
        "save": _save,
        "apply": _apply,
        "undo": _undo,
        "redo": _redo,
    }
    if action not in USAGE:
        raise ConfigError(f"graph: unknown action {action!r}{nearest(action, USAGE)}; known: {', '.join(USAGE)}")
    changes = None if action in whole else read_changes(phrase)
    with attached(args.pipeline) as client:
        done = _done(client.edit(changes)) if changes is not None else whole[action](client, rest, args.force)
    write(done)
    return 0


def read_changes(arguments: Sequence[str]) -> list[GraphChange]:
    """
    >>> read_changes("add eq fader in=song + connect eq mix.wet on_loss=silence + remove old".split())[2]
    Remove(op='remove', name='old')
    """
    phrases: list[list[str]] = [[]]
    for argument in arguments:
        if argument == "+":
            phrases.append([])
        else:
            phrases[-1].append(argument)
    return [_change(phrase) for phrase in phrases]


def _change(phrase: Sequence[str]) -> GraphChange:
    readers = {"connect": _connect, "disconnect": _disconnect, "add": _add, "remove": _remove, "bypass": _bypass}
    name = phrase[0] if phrase else ""
    if name not in readers:
        raise ConfigError(f"graph: expected one of {', '.join(readers)}, got {name!r}{nearest(name, readers)}")
    plain = [part for part in phrase[1:] if "=" not in part]
    keys = dict(_key(part) for part in phrase[1:] if "=" in part)
    change = readers[name](plain, keys)
    if change is None:
        raise ConfigError(f"graph {' '.join(phrase)}: expected {USAGE[name]}")
    return change


def _key(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, parse_yaml(f"value: {value}", "")[0]["value"]
    except ConfigError:
        return name, value


def _connect(plain: Sequence[str], keys: Keys) -> GraphChange | None:
    return Connect(from_=plain[0], to=plain[1], keys=keys) if len(plain) == 2 else None


def _disconnect(plain: Sequence[str], keys: Keys) -> GraphChange | None:
    return Disconnect(to=plain[0]) if len(plain) == 1 and not keys else None


def _add(plain: Sequence[str], keys: Keys) -> GraphChange | None:
    return Add(name=plain[0], node={"kind": plain[1], **keys}) if len(plain) == 2 else None


def _remove(plain: Sequence[str], keys: Keys) -> GraphChange | None:
    return Remove(name=plain[0]) if len(plain) == 1 and not keys else None


def _bypass(plain: Sequence[str], keys: Keys) -> GraphChange | None:
    on = {"on": True, "off": False}.get(plain[1]) if len(plain) == 2 else None
    return Bypass(name=plain[0], on=on) if on is not None and not keys else None


# -- actions ---------------------------------------------------------------------------------------------


def _only(rest: Sequence[str], action: str, count: int) -> None:
    if len(rest) != count:
        raise ConfigError(f"graph {action}: expected {USAGE[action]}")


def _show(client: Client, rest: Sequence[str], force: bool) -> str:
    _only(rest, "show", 0)
    found = client.graph()
    head = f"# revision {found.revision}, {found.can_undo} to undo, {found.can_redo} to redo"
    return f"{head}\n{graph_text(found.graph)}".rstrip()


def _save(client: Client, rest: Sequence[str], force: bool) -> str:
    _only(rest, "save", 1)
    path = save_graph(client.graph().graph, Path(rest[0]), force=force)
    return f"saved as {path}"


def _apply(client: Client, rest: Sequence[str], force: bool) -> str:
    _only(rest, "apply", 1)
    changes, revision = read_patch(Path(rest[0]))
    return _done(client.edit(changes, revision))


def _undo(client: Client, rest: Sequence[str], force: bool) -> str:
    _only(rest, "undo", 0)
    return _done(client.undo())


def _redo(client: Client, rest: Sequence[str], force: bool) -> str:
    _only(rest, "redo", 0)
    return _done(client.redo())


def _done(result: EditReply) -> str:
    parts = {"added": result.added, "removed": result.removed, "connected anew": result.touched}
    changed = "; ".join(f"{what} {', '.join(names)}" for what, names in parts.items() if names)
    return f"revision {result.revision}: {changed or 'nothing is connected differently'}"
