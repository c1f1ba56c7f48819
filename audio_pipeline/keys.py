"""Keys of this host and of those it knows: CURVE key pairs, an address book, and who may do what.

Two files in a private folder. `own.json` holds key pairs, `known.json` public keys with a role. Names are data:
they are keys in these files and never become part of a path.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from audio_pipeline.errors import KeysError, nearest
from audio_pipeline.home import CONFIG
from audio_pipeline.private_file import locked, write_private

FOLDER = "AUDIO_PIPELINE_KEYS"  # in the environment: another folder than the usual one
ROLES = ("host", "listen", "play", "control")  # each may do what those before it may; `host` nothing at all
NAME_MAX = 40
Z85_CHARACTERS = 40


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, both halves as 40 characters of Z85 (ZeroMQ RFC 32)."""

    public: str
    secret: str


@dataclass(frozen=True)
class Known:
    """Somebody else: their public key, and what they may do here."""

    public: str
    role: str


def keys_dir() -> Path:
    """Where the keys are: $AUDIO_PIPELINE_KEYS, or `audio-pipeline/keys` in $XDG_CONFIG_HOME (~/.config)."""
    said = os.environ.get(FOLDER)
    if said:
        return Path(said)
    return CONFIG.folder() / "keys"


def may(role: str, wanted: str) -> bool:
    """Whether somebody of one role may do what another stands for.

    >>> may("control", "listen"), may("listen", "play"), may("host", "listen")
    (True, False, False)
    """
    return role in ROLES and ROLES.index(role) >= ROLES.index(wanted)


class Keys:
    """What lies in the folder now. Raises KeysError where a file cannot be trusted or read."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or keys_dir()
        self._load()

    def _load(self) -> None:
        self.own = {name: _pair(self._own, name, raw) for name, raw in _read(self._own).items()}
        self.known = {name: _known(self._known, name, raw) for name, raw in _read(self._known).items()}

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Alone with the files, as they are now: another process may have changed them since they were read."""
        with _alone(self.folder):
            self._load()
            yield

    @property
    def _own(self) -> Path:
        return self.folder / "own.json"

    @property
    def _known(self) -> Path:
        return self.folder / "known.json"

    def new(self, name: str) -> KeyPair:
        """Makes and keeps a key pair of this host."""
        _check_name(name)
        with self._changing():
            if name in self.own:
                said = f"there is a key {name!r} of this host already"
                raise KeysError(f"{said}; remove it first, or choose another name")
            self.own[name] = _made()
            _write(self._own, {key: asdict(pair) for key, pair in self.own.items()})
            return self.own[name]

    def allow(self, name: str, public: str, role: str) -> None:
        """Writes somebody's public key down with a role; a known name gets the new key and role."""
        _check_name(name)
        if role not in ROLES:
            raise KeysError(f"role: expected one of {', '.join(ROLES)}, got {role!r}{nearest(role, ROLES)}")
        entry = Known(_public(public), role)
        with self._changing():
            other = next((who for who, known in self.known.items() if known.public == public and who != name), None)
            if other is not None:
                raise KeysError(f"this key is {other!r} already; remove that first, or use its name")
            self.known[name] = entry
            _write(self._known, {key: asdict(known) for key, known in self.known.items()})

    def remove(self, name: str) -> str:
        """Forgets a name; says what it was."""
        with self._changing():
            if name in self.known:
                del self.known[name]
                _write(self._known, {key: asdict(known) for key, known in self.known.items()})
                return "known"
            if name in self.own:
                del self.own[name]
                _write(self._own, {key: asdict(pair) for key, pair in self.own.items()})
                return "own"
            raise KeysError(f"no key is called {name!r}{nearest(name, [*self.own, *self.known])}")

    def mine(self, name: str = "") -> tuple[str, KeyPair]:
        """This host's key called `name`, or its only one."""
        if name and name in self.own:
            return name, self.own[name]
        if name:
            hint = nearest(name, self.own) or "; make it with `audio-pipeline keys new`"
            raise KeysError(f"this host has no key called {name!r}{hint}")
        if len(self.own) != 1:
            names = ", ".join(self.own)
            said = f"several keys ({names}); name one" if names else "no key; make one with `audio-pipeline keys new`"
            raise KeysError(f"this host has {said}")
        return next(iter(self.own.items()))

    def peer(self, name: str) -> Known:
        """Somebody this host knows."""
        if name not in self.known:
            hint = nearest(name, self.known) or "; write it down with `audio-pipeline keys allow NAME KEY`"
            raise KeysError(f"this host has no key named {name!r}{hint}")
        return self.known[name]

    def who(self, public: str) -> str | None:
        """Name behind a public key."""
        return next((name for name, known in self.known.items() if known.public == public), None)

    def stamp(self) -> tuple[int, int]:
        """Changes when the address book does."""
        try:
            found = self._known.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


def _made() -> KeyPair:
    public, secret = zmq.curve_keypair()
    while public.startswith(b"-"):  # on a command line it would look like an option
        public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def _check_name(name: str) -> None:
    if not name or len(name) > NAME_MAX or not name.isprintable() or name != name.strip():
        raise KeysError(f"a key's name has 1 to {NAME_MAX} printable characters, got {name!r}")


def _public(text: object) -> str:
    """A public key in Z85, checked."""
    said = f"a public key has {Z85_CHARACTERS} characters of Z85, got {text!r}"
    if not isinstance(text, str) or len(text) != Z85_CHARACTERS:
        raise KeysError(said)
    try:
        z85.decode(text.encode("ascii"))
    except (KeyError, ValueError, UnicodeEncodeError, IndexError) as error:
        raise KeysError(said) from error
    return text


def _read(path: Path) -> Mapping[str, object]:
    """A file of keys, which nobody else may read or write; nothing where it is not there."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise KeysError(f"{path} cannot be read: {CONFIG.why(error)}") from error
    with os.fdopen(file, "rb") as opened:
        _check_private(path, os.fstat(opened.fileno()))
        try:
            raw = json.loads(opened.read())
        except (ValueError, RecursionError) as error:
            raise KeysError(f"{path} is damaged: {error}") from error
    if not isinstance(raw, dict):
        raise KeysError(f"{path} is damaged: expected a map of keys, got {type(raw).__name__}")
    return raw


def _check_private(path: Path, found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (os.getuid(), 0):
        raise KeysError(f"{path} belongs to another user, so it is not used")
    if mode & 0o077:
        raise KeysError(f"{path} has mode {mode:04o}, expected 0600, so it is not used: chmod 600 {path}")


def _pair(path: Path, name: str, raw: object) -> KeyPair:
    if not isinstance(raw, dict):
        raise KeysError(f"{path} is damaged: key {name!r} is {raw!r}")
    try:
        pair = KeyPair(_public(raw.get("public")), _public(raw.get("secret")))
        derived = zmq.curve_public(pair.secret.encode()).decode()
    except (KeysError, zmq.ZMQError):
        derived = ""
    if not derived or derived != pair.public:  # without a word of the secret
        raise KeysError(f"{path} is damaged: the halves of key {name!r} do not match")
    return pair


def _known(path: Path, name: str, raw: object) -> Known:
    if not isinstance(raw, dict) or raw.get("role") not in ROLES:
        raise KeysError(f"{path} is damaged: {name!r} has no role of {', '.join(ROLES)}")
    return Known(_public(raw.get("public")), str(raw["role"]))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The lock of the folder. Raises KeysError where it cannot be had."""
    try:
        with locked(folder):
            yield
    except OSError as error:
        raise KeysError(f"the keys in {folder} cannot be changed: {CONFIG.why(error)}") from error


def _write(path: Path, content: Mapping[str, object]) -> None:
    """All or nothing, and never readable by others, not even for a moment."""
    try:
        write_private(path, json.dumps(content, indent=1).encode())
    except OSError as error:
        raise KeysError(f"{path} cannot be written: {CONFIG.why(error)}") from error
