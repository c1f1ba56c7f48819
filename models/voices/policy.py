"""What this host asks of made voices: a mark, and the consent of who is imitated; both unless it says no."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from audio_pipeline.errors import ConfigError, nearest
from audio_pipeline.home import CONFIG

if TYPE_CHECKING:
    from audio_pipeline.models.hearing.perth import Perth

FILE = "AUDIO_PIPELINE_VOICE_POLICY"  # in the environment: another file than the usual one
NAME = "voice-policy.yaml"
MOST_BYTES = 10_000


@dataclass(frozen=True)
class Policy:
    """`path` is the file that said so, None where there is none."""

    watermark: bool = True
    consent: bool = True
    path: Path | None = None


def policy_path() -> Path:
    """$AUDIO_PIPELINE_VOICE_POLICY, or `audio-pipeline/voice-policy.yaml` in $XDG_CONFIG_HOME (~/.config)."""
    path = os.environ.get(FILE)
    if path:
        return Path(path)
    return CONFIG.folder() / NAME


def read_policy() -> Policy:
    """What holds now. Raises ConfigError, and nothing is switched off, where the file cannot be trusted or read."""
    path = policy_path()
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not hold us up
    except FileNotFoundError:
        if FILE in os.environ:
            raise ConfigError(f"voice policy: {path} is not there ({FILE} names it)") from None
        return Policy()
    except OSError as error:
        raise ConfigError(f"voice policy: {path} cannot be read: {CONFIG.why(error)}") from error
    with os.fdopen(file, "rb") as opened:
        _check_owner(path, os.fstat(opened.fileno()))
        return _parsed(path, opened.read(MOST_BYTES))


def open_mark() -> Perth | None:
    """The watermark; None where this host switched it off."""
    from audio_pipeline.models.hearing import perth

    return perth.load() if read_policy().watermark else None


def _check_owner(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (os.getuid(), 0) or found.st_mode & 0o022:
        raise ConfigError(f"voice policy: {path} must be your own file, writable only by you: chmod 644 {path}")


def _parsed(path: Path, text: bytes) -> Policy:
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"voice policy: {path} is no YAML: {reason:.200}") from error
    known = [field.name for field in fields(Policy) if field.name != "path"]
    if not isinstance(raw, dict | None):
        raise ConfigError(f"voice policy: {path}: expected {' and '.join(known)}, got {raw!r:.40}")
    for name, value in (raw or {}).items():
        if name not in known:
            hint = nearest(str(name), known)
            raise ConfigError(f"voice policy: {path}: {name!r} is not known{hint}; known: {', '.join(known)}")
        if not isinstance(value, bool):
            raise ConfigError(f"voice policy: {path}: {name}: expected true or false, got {value!r:.40}")
    return Policy(**(raw or {}), path=path)
