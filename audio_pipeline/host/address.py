"""Where something listens: a host and a port."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from audio_pipeline.errors import ConfigError

LOOPBACK = "127.0.0.1"
EXAMPLE = "expected [HOST:]PORT, such as 9464 or 127.0.0.1:9464"


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True where nobody but this host can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/metrics"


def parse_address(text: str) -> Address:
    """Raises ConfigError with what was expected.

    >>> parse_address("9464"), parse_address("[::1]:0")
    (Address(host='127.0.0.1', port=9464), Address(host='::1', port=0))
    """
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else LOOPBACK
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"metrics: {EXAMPLE}, got {text!r}")
    return Address(host, int(port))
