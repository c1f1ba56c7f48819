"""`say --into NODE`: text for a voice of a running pipeline, spoken while the rest is still being written."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from audio_pipeline.cli.attach import attached
from audio_pipeline.control.client import Client
from audio_pipeline.errors import ConfigError

PORTION = 8_000  # characters: at four bytes each still less than an event may hold


def into(args: argparse.Namespace, portions: Iterable[str | None]) -> int:
    """Sends the text as it comes, then its end; Ctrl-C stops the speech. `--cancel` stops it first."""
    if args.out or args.voice or args.speed != 1.0 or args.device != "default":
        raise ConfigError("--into uses the pipeline's own voice; it goes without --voice, --speed, --device, -o")
    with attached(args.pipeline) as client:
        if args.cancel:
            client.transport(args.into, "cancel")
        try:
            if any(send_text(client, args.into, portions)):
                client.send(args.into, "text", "end")
            elif not args.cancel:
                raise ConfigError(f"there is no text to speak in {' '.join(args.text)!r:.60}")
        except KeyboardInterrupt:
            client.transport(args.into, "cancel")
            raise
    return 0


def send_text(client: Client, node: str, portions: Iterable[str | None]) -> list[bool]:
    """For each portion whether it holds more than white space."""
    found = []
    for portion in _small(portions):
        client.send(node, "text", "text", text=portion)
        found.append(bool(portion.strip()))
    return found


def _small(portions: Iterable[str | None]) -> Iterator[str]:
    """Portions that an event can hold; that a text stalls, the voice sees for itself."""
    for portion in filter(None, portions):
        for at in range(0, len(portion), PORTION):
            yield portion[at : at + PORTION]
