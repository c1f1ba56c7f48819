"""How a service is run; its folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.settings import setting


@dataclass(frozen=True)
class ServiceOptions:
    """What the parent hands its web process."""

    host: str = setting(doc="where it listens")
    port: int = setting(doc="the port that it got")
    state: str = setting(doc="folder of sessions, files and cookies, which outlive the service")
    folder: str = setting(doc="private runtime folder of this service")
    keys: str = setting(doc="folder of the API keys")
    public: tuple[str, ...] = setting((), "URLs under which a proxy shows it")
    upload_mb: float = setting(512.0, "largest upload", unit="MB", minimum=1, maximum=100_000)

    @property
    def sessions(self) -> Path:
        return Path(self.state) / "sessions"

    @property
    def files(self) -> Path:
        return Path(self.state) / "files"

    @property
    def cookies(self) -> Path:
        return Path(self.state) / "cookies"

    @property
    def costs(self) -> Path:
        return Path(self.state) / "costs.json"

    @property
    def logins(self) -> Path:
        return Path(self.folder) / "logins"

    @property
    def media_socket(self) -> Path:
        return Path(self.folder) / "media.sock"

    @property
    def restarts(self) -> Path:
        """What the parent says of its children."""
        return Path(self.folder) / "children.json"

    @property
    def log(self) -> Path:
        """What the service's processes print."""
        return Path(self.folder) / "log"
