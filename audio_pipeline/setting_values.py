"""The values of settings: one by its name, all as plain data, those that may change live."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from audio_pipeline.settings import rule_of


def value_at(settings: Any, name: str) -> Any:
    """The plain value of a setting by its dotted name."""
    for part in name.split("."):
        settings = settings[part] if isinstance(settings, Mapping) else getattr(settings, part)
    return plain(settings)


def live_names(settings: Any) -> list[str]:
    """Dotted names of all settings that may be changed live."""
    names = []
    items = settings.items() if isinstance(settings, dict) else _fields(settings)
    for name, value in items:
        live = not isinstance(settings, dict) and rule_of(settings.__dataclass_fields__[name]).live
        if isinstance(value, dict) and live:
            names += [f"{name}.{key}" for key in value]
        elif dataclasses.is_dataclass(value) or isinstance(value, dict):
            names += [f"{name}.{inner}" for inner in live_names(value)]
        elif live:
            names.append(name)
    return names


def _fields(settings: Any) -> list[tuple[str, Any]]:
    if not dataclasses.is_dataclass(settings):
        return []
    return [(field.name, getattr(settings, field.name)) for field in dataclasses.fields(settings)]


def plain(settings: Any) -> Any:
    """Settings as plain dicts, lists and scalars."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {name: plain(value) for name, value in _fields(settings)}
    if isinstance(settings, Mapping):
        return {key: plain(value) for key, value in settings.items()}
    if isinstance(settings, (tuple, list)):
        return [plain(value) for value in settings]
    return settings
