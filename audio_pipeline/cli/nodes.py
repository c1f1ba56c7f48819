"""`audio-pipeline nodes`: every kind with its ports and settings, on the terminal or as pages."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audio_pipeline.cli.text import columns
from audio_pipeline.graph.node_keys import NodeKeys
from audio_pipeline.graph.registry import kinds, load_kind
from audio_pipeline.graph.types import LinkKeys, Top
from audio_pipeline.node import ANY, Node
from audio_pipeline.private_file import write_whole
from audio_pipeline.rules import expectation
from audio_pipeline.settings import rule_of
from audio_pipeline.terminal import write

HEAD = ("setting", "default", "accepts", "live", "what it does")
Cells = tuple[str, str, str, str, str]


def nodes(args: argparse.Namespace) -> int:
    """Lists the kinds, shows one, or writes a page a kind."""
    if args.kind:
        write(*describe(args.kind, load_kind(args.kind)))
        return 0
    known = kinds()
    if args.markdown:
        write(*map(str, write_pages(args.markdown, known)))
    else:
        write(*columns([(name, summary(cls)) for name, cls in known.items()], indent=""))
    return 0


# -- the text of a kind -------------------------------------------------------------------------------


def about(cls: type[Node]) -> str:
    """The docstring of the class, or of its module."""
    own = cls.__dict__.get("__doc__") or inspect.getmodule(cls).__doc__ or ""
    return inspect.cleandoc(own)


def summary(cls: type[Node]) -> str:
    """The first sentence of it, without the full stop."""
    return " ".join(about(cls).split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def ports(cls: type[Node]) -> list[tuple[str, str]]:
    """Inputs, outputs and event outputs as text."""
    found = cls.PORTS
    inputs = "any names, as the pipeline file gives them" if found.inputs == (ANY,) else ", ".join(found.inputs)
    outputs = list(found.outputs) if cls.ports.__func__ is Node.ports.__func__ else _depending(cls)  # type: ignore[attr-defined]
    passing = [f"{port} ({way.value})" for port, way in found.bypass.items()]
    every = [
        ("in", inputs),
        ("event inputs", ", ".join(found.event_inputs)),
        ("out", ", ".join(outputs)),
        ("events", ", ".join(found.events)),
        ("bypass", ", ".join(passing)),
    ]
    return [(what, names) for what, names in every if names]


def _depending(cls: type[Node]) -> list[str]:
    """Outputs of a kind whose ports depend on its settings or inputs: as they are by default."""
    try:
        example = cls.ports(cls.Settings(), ("<input>",))
    except TypeError:  # a setting without a default: only a file has its value
        return list(cls.PORTS.outputs)
    return list(example.outputs)


def settings_rows(cls: type, prefix: str = "") -> Iterator[Cells]:
    """A row a setting; nested ones by their dotted names."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        rule, hint = rule_of(field), hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from settings_rows(typing.cast(type, hint), f"{prefix}{field.name}.")
            continue
        accepts = expectation(hint, rule) + (f", {rule.unit}" if rule.unit else "")
        live = "yes" if rule.live else ""
        yield prefix + field.name, default_text(field), accepts, live, rule.doc


def default_text(field: dataclasses.Field[Any]) -> str:
    """A default as a pipeline file would write it."""
    if field.default_factory is not dataclasses.MISSING:
        return yaml_text(field.default_factory())
    return "required" if field.default is dataclasses.MISSING else yaml_text(field.default)


def yaml_text(value: Any) -> str:
    """
    >>> yaml_text(True), yaml_text(None), yaml_text(""), yaml_text(0.5), yaml_text(())
    ('true', 'none', '""', '0.5', '[]')
    """
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(yaml_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


# -- terminal ----------------------------------------------------------------------------------------


def describe(name: str, cls: type[Node]) -> Iterator[str]:
    """One kind for the terminal."""
    yield from [name, "", about(cls), ""]
    yield from columns(ports(cls), indent="")
    for title, rows in _tables(cls):
        yield from ["", title, *columns([HEAD, *rows])]


def _tables(cls: type[Node]) -> list[tuple[str, list[Cells]]]:
    parts = (("Settings", cls.Settings), ("Settings of each input", cls.InputSettings))
    return [(title, rows) for title, settings in parts if (rows := list(settings_rows(settings)))]


# -- pages -------------------------------------------------------------------------------------------


def write_pages(folder: Path, known: Mapping[str, type[Node]]) -> list[Path]:
    """Writes README.md and a page a kind, removes pages of kinds that are gone; returns what it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = pages(known)
    for stale in set(folder.glob("*.md")) - {folder / name for name in wanted}:
        stale.unlink()
    for name, text in wanted.items():
        write_whole(folder / name, text)
    return [folder / name for name in wanted]


def pages(known: Mapping[str, type[Node]]) -> dict[str, str]:
    """File name and text of every page."""
    return {"README.md": _index(known), **{f"{name}.md": _page(name, cls) for name, cls in known.items()}}


NOTE = "<!-- Written by `audio-pipeline nodes --markdown docs/nodes`; edit the settings in the code. -->\n"


def _index(known: Mapping[str, type[Node]]) -> str:
    listed = "\n".join(f"- [`{name}`]({name}.md): {summary(cls)}." for name, cls in known.items())
    file_keys, node_keys, link_keys = (_markdown_table(list(settings_rows(cls))) for cls in (Top, NodeKeys, LinkKeys))
    return f"{NOTE}{INDEX.format(listed=listed, file_keys=file_keys, node_keys=node_keys, link_keys=link_keys)}"


INDEX = """# Pipeline files and node kinds

{listed}

## Keys of the file

`nodes` maps names to nodes. The other keys are:

{file_keys}
## Keys of every node

`kind` is one of the above. `in: node` or `in: node.port` connects the only input, `inputs:` a map of inputs. The
settings of the kind and these keys may follow:

{node_keys}
## Keys of every input

`from` is the output that feeds it.

{link_keys}"""


def _page(name: str, cls: type[Node]) -> str:
    lines = [f"{NOTE}# {name}", "", about(cls), "", *[f"- {what}: {names}" for what, names in ports(cls)]]
    for title, rows in _tables(cls):
        lines += ["", f"## {title}", "", _markdown_table(rows).rstrip("\n")]
    if not _tables(cls):
        lines += ["", "It has no settings."]
    return "\n".join(lines) + "\n"


def _markdown_table(rows: Sequence[Cells]) -> str:
    """A Markdown table; the column `live` only where something is."""
    keep = [i for i, title in enumerate(HEAD) if title != "live" or any(row[i] for row in rows)]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells[i].replace("|", "\\|") for i in keep) + " |\n"

    ruled = "|" + " --- |" * len(keep) + "\n"
    body = "".join(line((f"`{row[0]}`", f"`{row[1]}`" if row[1] != "required" else row[1], *row[2:])) for row in rows)
    return line(HEAD) + ruled + body
