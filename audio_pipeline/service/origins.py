"""Which names this service answers to, and whose pages may talk to it. Pure.

A page of another site that finds the service on loopback or by a name that it rebinds to it is refused: by the list of
host names, and by equality of `Origin` and `Host`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from audio_pipeline.errors import ConfigError

SAME_SITE = (b"", b"same-origin", b"none")


@dataclass(frozen=True)
class Origins:
    """Where the service listens, and the URLs under which a proxy shows it."""

    host: str
    port: int
    public: tuple[str, ...] = ()  # scheme://host[:port]

    @property
    def is_loopback(self) -> bool:
        return self.host == "localhost" or _is_loopback(self.host)

    def host_refusal(self, host: bytes) -> str:
        """Why a `Host` is not ours, in a sentence; empty where it is."""
        try:
            name, port = split_host(host.decode("ascii"))
        except ValueError:
            return "the Host of the request cannot be read"
        if host.decode("ascii").lower() in {urlsplit(url).netloc.lower() for url in self.public}:
            return ""
        if port == self.port and (name in self._names or (_is_address(name) and self._takes(name))):
            return ""
        return f"this service does not answer to {name[:80]!r}; start it with --public URL where it should"

    @property
    def _names(self) -> tuple[str, ...]:
        return ("localhost", self.host.lower())

    def _takes(self, address: str) -> bool:
        """An address cannot be rebound by a name server; on loopback only loopback is meant."""
        return _is_loopback(address) if self.is_loopback else True

    def origin_refusal(self, host: bytes, origin: bytes | None, site: bytes) -> str:
        """Why a page may not ask this, in a sentence; empty where it may, or where no page asks."""
        if site not in SAME_SITE:
            return "this request comes from a page of another site"
        if origin is None or origin.decode("latin-1").lower() in self._allowed(host.decode("latin-1").lower()):
            return ""
        return f"pages of {origin.decode('latin-1')[:80]!r} may not use this service"

    def _allowed(self, host: str) -> set[str]:
        shown = {url.lower() for url in self.public if urlsplit(url).netloc.lower() == host}
        return shown or {f"http://{host}"}

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS alone."""
        return bool(self.public) and all(url.startswith("https://") for url in self.public)


def split_host(text: str) -> tuple[str, int]:
    """Name and port of a `Host`; 80 where it states none. Raises ValueError.

    >>> split_host("127.0.0.1:8080"), split_host("[::1]:8080"), split_host("Music.example")
    (('127.0.0.1', 8080), ('::1', 8080), ('music.example', 80))
    """
    parts = urlsplit(f"//{text}")
    if parts.netloc != text or not parts.hostname or parts.username is not None or parts.path or parts.query:
        raise ValueError(text)
    return parts.hostname, 80 if parts.port is None else parts.port


def public_url(text: str) -> str:
    """A URL as `Origin` has it. Raises ConfigError.

    >>> public_url("https://Music.example/")
    'https://music.example'
    """
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise ConfigError(f"--public: expected a URL such as https://music.example, got {text!r}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
