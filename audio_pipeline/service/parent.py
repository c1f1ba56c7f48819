"""The service's parent: binds the address, starts the web and the media process, keeps both alive, ends both."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from audio_pipeline.errors import ConfigError, PipelineError
from audio_pipeline.home import CONFIG, STATE
from audio_pipeline.host.address import Address
from audio_pipeline.host.lock import LOCK, Hold
from audio_pipeline.host.runtime import WEB_SERVICES, base_dir
from audio_pipeline.private_file import write_private
from audio_pipeline.service.access import LOGIN_S, Identity, Tickets
from audio_pipeline.service.catalog import Catalog
from audio_pipeline.service.children import END_S, Child, Children
from audio_pipeline.service.launch import end_session
from audio_pipeline.service.options import ServiceOptions
from audio_pipeline.service.session.folder import SessionFolder, SessionJob, session_folders
from audio_pipeline.serving.service import is_locked

WEB, MEDIA = "audio_pipeline.service.web.main", "audio_pipeline.service.media.main"
TURN_S = 0.1
BACKLOG = 128
RUNNING = "service.json"  # in the state folder: where the service that runs there can be found
OWNER = Identity("owner", "control")


@dataclass(frozen=True)
class Wanted:
    """What `audio-pipeline serve` was told."""

    address: Address
    state: Path | None = None
    public: tuple[str, ...] = ()
    upload_mb: float = 512.0
    session: str = ""  # a pipeline that plays for as long as the service runs


def state_folder(wanted: Path | None) -> Path:
    """Where sessions, files and cookies are kept, made where it is missing. Raises PipelineError."""
    folder = wanted or STATE.folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
    except OSError as error:
        raise PipelineError(f"{folder} cannot be used: {STATE.why(error)}") from error
    return folder.absolute()


def keys_folder() -> Path:
    """Where API keys are kept."""
    return CONFIG.folder() / "service"


def bind(address: Address) -> socket.socket:
    """A listening socket. Raises PipelineError."""
    try:
        family, kind, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind)
    except OSError as error:
        raise PipelineError(f"{address.host}: {error.strerror or error}") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(where)
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        said = f"{address.host}:{address.port} cannot be listened at: {error.strerror}; choose another with --listen"
        raise PipelineError(said) from error
    return found


@contextlib.contextmanager
def service_folder() -> Iterator[Path]:
    """A private folder for sockets and logins, gone at the end; those of dead services are removed."""
    services = base_dir() / WEB_SERVICES
    services.mkdir(mode=0o700, exist_ok=True)
    for left in services.iterdir():
        if not is_locked(left / LOCK):
            shutil.rmtree(left, ignore_errors=True)
    folder = services / secrets.token_hex(4)
    folder.mkdir(mode=0o700)
    hold = Hold(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        hold.close()


class Parent:
    """One service. It does nothing but this: what fails, fails in its children."""

    def __init__(self, wanted: Wanted, listener: socket.socket, state: Path, folder: Path) -> None:
        self._listener, self._state = listener, state
        self.options = ServiceOptions(
            host=wanted.address.host,
            port=listener.getsockname()[1],
            state=str(state),
            folder=str(folder),
            keys=str(keys_folder()),
            public=wanted.public,
            upload_mb=wanted.upload_mb,
        )
        web = Child("web", WEB, (str(listener.fileno()),), self._task(), (listener.fileno(),))
        self._children = Children([web, Child("media", MEDIA, (str(folder),))], self.options.log, self.options.restarts)
        self._stop = threading.Event()

    def _task(self) -> bytes:
        return json.dumps(asdict(self.options)).encode()

    def add_session(self, config: str) -> SessionFolder:
        """A session that the service holds: the web process finds it and starts it. Raises ConfigError."""
        for folder in session_folders(self.options.sessions):
            with contextlib.suppress(PipelineError):
                if folder.job().config == config and folder.job().pinned and folder.is_alive:
                    return folder  # of a service before this one
        path = str(Catalog().entry(config).path)
        self.options.sessions.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SessionFolder.create(self.options.sessions, SessionJob(config, path, owner=OWNER.name, pinned=True))

    def start(self) -> None:
        """Starts both children. Raises OSError."""
        self._children.start()
        content = {"url": self.url, "logins": str(self.options.logins)}
        write_private(self._state / RUNNING, json.dumps(content).encode())

    @property
    def url(self) -> str:
        """Where a browser of this host finds it."""
        return url_of(self.options)

    def run(self, idle: Callable[[], bool] = lambda: False) -> None:
        """Until `stop`, or until `idle` says that it is not wanted any more."""
        while not self._stop.wait(TURN_S) and not idle():
            self._children.turn()

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """Tells clients, ends both children; sessions play on."""
        announce_leaving(self.options)
        self._children.end()
        (self._state / RUNNING).unlink(missing_ok=True)


def announce_leaving(options: ServiceOptions) -> None:
    """Lets the media process tell its clients that they will have to go."""
    from audio_pipeline.service.media.handover import Drain, order

    with contextlib.suppress(OSError):  # it is not there just now: nobody is connected
        order(Path(options.folder), Drain(v=1, leaving_in_s=END_S))


def url_of(options: ServiceOptions) -> str:
    """The first public URL, or the address itself; an address that means all of them is shown as loopback."""
    if options.public:
        return options.public[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{options.port}"


def login_link(url: str, logins: Path, identity: Identity = OWNER) -> str:
    """A link that logs in once; the token stands in the fragment, which browsers send to nobody."""
    return f"{url}/#login={Tickets(logins).issue(identity, LOGIN_S)}"


def running_service(state: Path) -> tuple[str, Path]:
    """URL and logins of the service that runs with this state folder. Raises PipelineError."""
    try:
        found = json.loads((state / RUNNING).read_bytes())
        url, logins = str(found["url"]), Path(found["logins"])
    except (OSError, ValueError, KeyError, TypeError):
        raise PipelineError("no service runs here; start one with `audio-pipeline serve`") from None
    if not is_locked(state / LOCK):
        raise PipelineError("the service that ran here has ended; start one with `audio-pipeline serve`")
    return url, logins


@contextlib.contextmanager
def parent_of(wanted: Wanted) -> Iterator[Parent]:
    """A service, started; its children are ended at the end. Raises PipelineError."""
    state = state_folder(wanted.state)
    if is_locked(state / LOCK):
        raise PipelineError(f"a service runs with {state} already; give another one its own with --state")
    hold = Hold(state)
    with contextlib.ExitStack() as stack:
        stack.callback(hold.close)
        listener = stack.enter_context(bind(wanted.address))
        parent = Parent(wanted, listener, state, stack.enter_context(service_folder()))
        stack.callback(parent.close)
        if wanted.session:
            stack.callback(end_session, parent.add_session(wanted.session))
        try:
            parent.start()
        except OSError as error:
            raise PipelineError(f"the service cannot be started: {error.strerror or error}") from error
        yield parent


def reach_sentence(options: ServiceOptions) -> str:
    """What it means where others can reach the service; empty on loopback."""
    from audio_pipeline.service.origins import Origins

    if Origins(options.host, options.port).is_loopback:
        return ""
    said = f"other hosts can reach {options.host}:{options.port}; only who has a login link or an API key is let in"
    if Origins(options.host, options.port, options.public).is_secure:
        return f"{said}, and {', '.join(options.public)} has to be a proxy that does TLS"
    return (
        f"{said}. Nothing is encrypted, and browsers give no microphone without https: put a proxy with TLS before it"
    )


def check_public(urls: tuple[str, ...]) -> tuple[str, ...]:
    """As `Origin` has them. Raises ConfigError."""
    from audio_pipeline.service.origins import public_url

    if len(set(urls)) != len(urls):
        raise ConfigError(f"--public: {', '.join(urls)}: each URL once")
    return tuple(public_url(url) for url in urls)
