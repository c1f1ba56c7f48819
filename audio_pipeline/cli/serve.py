"""`audio-pipeline serve`: the service for browsers and programs."""

from __future__ import annotations

import argparse
from contextlib import suppress
from importlib.util import find_spec

from audio_pipeline.cli.observer import stopping
from audio_pipeline.errors import ConfigError
from audio_pipeline.host.address import parse_address
from audio_pipeline.service.access import ApiKeys, Identity
from audio_pipeline.service.parent import (
    Parent,
    Wanted,
    check_public,
    keys_folder,
    login_link,
    parent_of,
    reach_sentence,
    running_service,
    state_folder,
)
from audio_pipeline.terminal import warn, write

NEEDED = ("starlette", "uvicorn", "httptools", "websockets", "msgspec")


def serve(args: argparse.Namespace) -> int:
    """Runs the service until a signal, or does what the options ask of one that runs. Raises PipelineError."""
    if args.new_key is not None:
        write(ApiKeys(keys_folder()).new(args.new_key, args.role))
    elif args.remove_key is not None:
        ApiKeys(keys_folder()).remove(args.remove_key)
    elif args.list_keys:
        write(*(f"{name}  {key.role}" for name, key in ApiKeys(keys_folder()).all().items()))
    elif args.link:
        url, logins = running_service(state_folder(args.state))
        write(login_link(url, logins, Identity(args.name, args.role)))
    else:
        _serve(args)
    return 0


def wanted_of(args: argparse.Namespace) -> Wanted:
    """Raises ConfigError."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ConfigError(f"serve needs {', '.join(missing)}: pip install 'audio-pipeline[serve]'")
    address = parse_address(args.listen)
    return Wanted(address, args.state, check_public(tuple(args.public)), args.upload_mb, args.session)


def _serve(args: argparse.Namespace) -> None:
    with parent_of(wanted_of(args)) as parent:
        announce(parent)
        with stopping(parent.stop), suppress(KeyboardInterrupt):
            parent.run()


def announce(parent: Parent) -> None:
    """The link, and what it means that others can reach the service."""
    sentence = reach_sentence(parent.options)
    if sentence:
        warn(f"audio-pipeline: {sentence}")
    write(login_link(parent.url, parent.options.logins))
