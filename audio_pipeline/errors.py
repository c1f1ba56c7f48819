"""The exceptions of the project: one root, one class per cause, an exit code for each."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class PipelineError(Exception):
    """Root of everything this project raises on purpose; the message is one sentence for the user."""

    exit_code = 1


class ConfigError(PipelineError):
    """A pipeline file, a setting or a command line that cannot be used."""

    exit_code = 2


class MediaError(PipelineError):
    """A sound file that is missing, unreadable or not sound."""

    exit_code = 3


class DeviceError(PipelineError):
    """A sound device that is missing or refused the format."""

    exit_code = 4


class WeightsError(PipelineError):
    """Model weights that are missing, damaged or cannot be fetched."""

    exit_code = 5


class NodeError(PipelineError):
    """A node that failed, hung or kept failing after its restarts."""

    exit_code = 6


class ControlError(PipelineError):
    """A control request that was refused, or a pipeline that cannot be reached."""

    exit_code = 7


class WireError(PipelineError):
    """Bytes from a link or a control socket that are not what the protocol says."""

    exit_code = 8


class KeysError(PipelineError):
    """Keys that are missing, damaged or open to others, or a host that refused them."""

    exit_code = 9


def nearest(word: str, known: Iterable[str]) -> str:
    """`", did you mean 'x'?"` for the closest known word, or an empty string.

    >>> nearest("mixr", ["mixer", "meter"])
    ", did you mean 'mixer'?"
    """
    close = get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
