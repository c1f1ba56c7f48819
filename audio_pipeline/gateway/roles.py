"""The roles of the keys of other hosts: the address book, read again whenever it changes."""

from __future__ import annotations

from audio_pipeline.errors import ConfigError, KeysError
from audio_pipeline.gateway.curve import is_loopback
from audio_pipeline.gateway.policy import Caller
from audio_pipeline.keys import KeyPair, Keys, may


class Roles:
    """What the keys of those who come allow; without an address book everybody may listen, on loopback only."""

    def __init__(self, keys: Keys | None) -> None:
        self.keys = keys
        self._stamp = keys.stamp() if keys else (0, 0)
        self.unread = False  # the book could not be read: descriptors may have run out, so it is tried each second

    def changed(self) -> bool:
        """True where the address book is another than when it was read."""
        return self.keys is not None and self.keys.stamp() != self._stamp

    def reread(self) -> str:
        """Reads it anew; why it cannot be read, or an empty string."""
        assert self.keys is not None
        self._stamp = self.keys.stamp()
        try:
            self.keys = Keys(self.keys.folder)
        except KeysError as error:  # nobody is let in on a book that cannot be read
            self.keys.known = {}
            self.unread = True
            return str(error)
        self.unread = False
        return ""

    def name(self, public: str) -> str:
        """Whose key it is now; empty where it is nobody's, or there are no keys."""
        return (self.keys.who(public) or "") if self.keys is not None else ""

    def caller(self, public: str) -> Caller:
        """Who that is for the policy."""
        return Caller(self.name(public), self.of(public))

    def of(self, public: str) -> str:
        """The role of a key that was let in."""
        if self.keys is None:
            return "listen"
        known = self.keys.known.get(self.name(public))
        return known.role if known else "host"

    def allow(self, public: str, needed: str) -> bool:
        """Whether that is enough."""
        return may(self.of(public), needed)


def own_pair(keys: Keys | None, own: str, host: str) -> KeyPair | None:
    """This host's key pair; none without keys, which is only taken on loopback. Raises ConfigError, KeysError."""
    if keys is not None:
        return keys.mine(own)[1]
    if not is_loopback(host):
        raise ConfigError(f"listen: {host} can be reached from other hosts, so it needs keys: leave out `curve: false`")
    return None
