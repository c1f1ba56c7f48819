"""Who may come in: login links that work once, cookies, API keys. Only digests of secrets are kept, in private files.

Secrets are 256 random bits, so SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from audio_pipeline.errors import ConfigError, KeysError, nearest
from audio_pipeline.keys import NAME_MAX, ROLES
from audio_pipeline.private_file import create_private, locked, write_private
from audio_pipeline.settings import build, setting

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
WEB_ROLES = tuple(role for role in ROLES if role != "host")
LOGIN_S = 3_600.0
COOKIE_S = 30 * 86_400.0
MOST_COOKIES = 256
MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class Identity:
    """Who somebody is, and what they may do."""

    name: str = setting(doc="as the owner of the service called them")
    role: str = setting(doc="listen, play or control", choices=WEB_ROLES)


@dataclass(frozen=True)
class Ticket(Identity):
    """An identity until a time."""

    until_s: float = setting(0.0, "Unix time")


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """256 bits as 43 characters that a URL can hold."""
    return secrets.token_urlsafe(32)


class Tickets:
    """Secrets that were given out, a file each under its digest. A file is there whole or not at all."""

    def __init__(self, folder: Path, most: int = MOST_COOKIES) -> None:
        self._folder, self._most = folder, most
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def issue(self, identity: Identity, lasts_s: float) -> str:
        """A new secret; the oldest one makes way where there are too many."""
        secret = new_secret()
        ticket = Ticket(identity.name, identity.role, time.time() + lasts_s)
        create_private(self._folder / digest(secret), json.dumps(asdict(ticket)).encode())
        found = sorted(self._folder.glob("?" * 64), key=_changed)
        for path in found[: max(len(found) - self._most, 0)]:
            path.unlink(missing_ok=True)
        return secret

    def identity(self, secret: str) -> Identity | None:
        """Whose it is; None for one that nobody was given, or that is over."""
        if not SECRET.fullmatch(secret):
            return None
        try:
            raw = json.loads((self._folder / digest(secret)).read_bytes()[:MOST_BYTES])
            ticket = build(Ticket, raw, ("ticket",))
        except (OSError, ValueError, RecursionError, ConfigError):
            return None
        return Identity(ticket.name, ticket.role) if ticket.until_s > time.time() else None

    def redeem(self, secret: str) -> Identity | None:
        """As `identity`, and then it is used up: of many who come at once, one gets it."""
        identity = self.identity(secret)
        if identity is None:
            return None
        try:
            os.unlink(self._folder / digest(secret))
        except FileNotFoundError:
            return None
        return identity

    def revoke(self, secret: str) -> None:
        """It is no good any more."""
        with suppress(OSError):
            (self._folder / digest(secret)).unlink()


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


@dataclass(frozen=True)
class ApiKey:
    """A program's key, without the key."""

    sha256: str = setting(doc="of the key, as hexadecimal digits")
    role: str = setting(doc="listen, play or control", choices=WEB_ROLES)


class ApiKeys:
    """Keys of programs, by name, in one private file."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "api_keys.json"

    def new(self, name: str, role: str) -> str:
        """Makes a key; it is shown this once and cannot be read again. Raises KeysError."""
        if role not in WEB_ROLES:
            raise KeysError(f"role: expected one of {', '.join(WEB_ROLES)}, got {role!r}{nearest(role, WEB_ROLES)}")
        if not name or len(name) > NAME_MAX or not name.isprintable() or name != name.strip():
            raise KeysError(f"a key's name has 1 to {NAME_MAX} printable characters, got {name!r}")
        secret = new_secret()
        with locked(self._folder):
            keys = self.all()
            if name in keys:
                raise KeysError(f"there is a key {name!r} already; remove it first")
            self._write({**keys, name: ApiKey(digest(secret), role)})
        return secret

    def remove(self, name: str) -> None:
        """Raises KeysError."""
        with locked(self._folder):
            keys = self.all()
            if name not in keys:
                raise KeysError(f"no API key is called {name!r}{nearest(name, keys)}")
            self._write({other: key for other, key in keys.items() if other != name})

    def identity(self, secret: str) -> Identity | None:
        """Whose it is. The file is read each time, so a key that was removed is gone at once."""
        if not SECRET.fullmatch(secret):
            return None
        wanted, found = digest(secret), None
        for name, key in self.all().items():
            if hmac.compare_digest(key.sha256, wanted):
                found = Identity(name, key.role)
        return found

    def all(self) -> dict[str, ApiKey]:
        """By name. Raises KeysError for a file that is open to others or damaged."""
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                raw = json.loads(file.read())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise KeysError(f"{self._path} cannot be read: {error}") from error
        if mode & 0o077:
            raise KeysError(f"{self._path} has mode {mode:04o}, expected 0600, so it is not used")
        try:
            return {str(name): build(ApiKey, key, (str(name),)) for name, key in raw.items()}
        except (ConfigError, AttributeError) as error:
            raise KeysError(f"{self._path} is damaged: {error}") from error

    def _write(self, keys: dict[str, ApiKey]) -> None:
        content = {name: asdict(key) for name, key in keys.items()}
        write_private(self._path, json.dumps(content, indent=1).encode())
