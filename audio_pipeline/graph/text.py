"""A graph as YAML text: shown, saved, and changes read from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.yamlfile import EXPONENT, parse_yaml, read_yaml
from audio_pipeline.graph_changes import GraphChange, changes_in


class _Dumper(yaml.SafeDumper):
    """Quotes text that our reader would take for something else, and repeats what occurs twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "'" if EXPONENT.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def graph_text(raw: Mapping[str, object]) -> str:
    """The file from which the same graph is loaded. Raises ConfigError where that cannot be said in YAML."""
    text = yaml.dump(dict(raw), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
    if parse_yaml(text, "saved graph")[0] != raw:
        raise ConfigError("this graph holds a value that does not come back from YAML as it went in")
    return text


def save_graph(raw: Mapping[str, object], path: Path, *, force: bool) -> Path:
    """Writes the file; one that is there is kept unless forced. Raises ConfigError."""
    text = graph_text(raw)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, encoding="utf-8")
        try:
            if force:
                os.replace(scratch, path)
            else:
                os.link(scratch, path)  # fails where there is one, even one that was made this moment
        finally:
            scratch.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigError(f"{path}: exists already; --force replaces it") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def read_patch(path: Path) -> tuple[tuple[GraphChange, ...], int | None]:
    """`changes:` of a patch file, and the `revision:` it was made against, if it says one. Raises ConfigError."""
    raw, _ = read_yaml(path)
    changes = raw.get("changes")
    if not isinstance(changes, list) or raw.keys() - {"changes", "revision"}:
        raise ConfigError(f"{path}: expected 'changes' (a list) and, if at all, 'revision'; got {', '.join(raw)}")
    revision = raw.get("revision")
    if revision is not None and (not isinstance(revision, int) or isinstance(revision, bool)):
        raise ConfigError(f"{path}: revision: expected a whole number, got {revision!r}")
    return changes_in(changes), revision
