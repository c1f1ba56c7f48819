"""Folders of running pipelines: private, locked for as long as their owner lives, swept when it is gone."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audio_pipeline.errors import PipelineError
from audio_pipeline.host.file_names import file_name
from audio_pipeline.host.lock import LOCK, Hold, is_held, owner_of
from audio_pipeline.host.processes import is_same
from audio_pipeline.host.strays import end_strays, note, noted
from audio_pipeline.private_file import write_whole

TOKEN = "token"
CONTROL = "control"
SOCKET_PATH_MAX = 107  # bytes in the path of a Unix socket
DIGEST = 12
BASE_MAX = 70  # bytes; leaves room for a pipeline's folder and a digest
NAME_MAX = 24
YOUNG_S = 60.0
SERVICES = ".host"  # processes that several pipelines share: `serving.service`
WEB_SERVICES = ".serve"  # sockets and logins of `audio-pipeline serve`
NEW = ".new-"  # a folder that is being made: its lock is in it before it gets its name
_HELD: dict[Path, Hold] = {}  # this process's, until it ends


def base_dir() -> Path:
    """The private folder (0700) that holds one folder a running pipeline. Raises PipelineError if it is not ours."""
    root = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(root) / "audio-pipeline" if root else Path(tempfile.gettempdir()) / f"audio-pipeline-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        pass  # something else is there: refused below
    except OSError as error:
        raise PipelineError(
            f"{path} cannot be made ({error.strerror}); set XDG_RUNTIME_DIR to a folder of yours"
        ) from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PipelineError(f"{path} must be a folder of yours with mode 0700, so it is not used; remove it")
    return path


@dataclass(frozen=True)
class RunDir:
    """One running pipeline."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def control(self) -> str:
        return f"ipc://{self.path / CONTROL}"

    @property
    def token(self) -> str:
        """Raises PipelineError where it has ended just now."""
        try:
            return (self.path / TOKEN).read_text(encoding="utf-8")
        except OSError as error:
            raise PipelineError(f"{self.name} has no token to be read, so it has ended ({error.strerror})") from error

    def endpoint(self, node: str, port: str) -> str:
        """Where a port binds: named for it, or by a digest where the name is too long for a socket's path."""
        path = f"{self.path / node}.{port}"
        if _length(path) > SOCKET_PATH_MAX:
            path = str(self.path / hashlib.sha256(f"{node}.{port}".encode()).hexdigest()[:DIGEST])
        return f"ipc://{path}"

    def note_children(self, pids: Mapping[int, int]) -> None:
        """Remembers the children by number, so that the next start finds leftovers."""
        with contextlib.suppress(OSError):  # what is not noted bears its mark all the same
            note(self.path, pids)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self.path in _HELD:
            _HELD.pop(self.path).close()


def create(name: str, token: str) -> RunDir:
    """A fresh folder for this process's pipeline; sweeps what dead ones left."""
    base = base_dir()
    if _length(base) > BASE_MAX:
        raise PipelineError(f"{base} is too long a path for sockets; set XDG_RUNTIME_DIR to a shorter one")
    sweep()
    tail = f"-{os.getpid()}-{secrets.token_hex(4)}"
    free = SOCKET_PATH_MAX - _length(base) - len(tail) - DIGEST - 2
    path = base / f"{file_name(name, min(free, NAME_MAX))}{tail}"
    _place(path, token)
    return RunDir(path)


def _length(path: Path | str) -> int:
    return len(os.fsencode(path))


def _place(path: Path, token: str) -> None:
    """Makes the folder elsewhere, locked and with its token, and gives it its name. Raises PipelineError."""
    try:
        scratch = Path(tempfile.mkdtemp(prefix=NEW, dir=path.parent))
    except OSError as error:
        raise PipelineError(f"{path} cannot be made: {error.strerror or error}") from error
    hold = None
    try:
        hold = Hold(scratch)
        write_whole(scratch / TOKEN, token, mode=0o600, sync=False)
        os.rename(scratch, path)
    except BaseException as error:
        if hold is not None:
            hold.close()
        shutil.rmtree(scratch, ignore_errors=True)
        if isinstance(error, OSError):
            raise PipelineError(f"{path} cannot be made: {error.strerror or error}") from error
        raise
    if path in _HELD:
        _HELD.pop(path).close()
    _HELD[path] = hold


def restore(run: RunDir, token: str) -> list[str]:
    """Puts back what is gone of this process's folder, its lock and its token: their names. Raises PipelineError."""
    if not run.path.is_dir():
        base_dir()
        _place(run.path, token)
        return [run.name]
    back = []
    if run.path in _HELD and not _HELD[run.path].is_at(run.path):
        before, _HELD[run.path] = _HELD[run.path], Hold(run.path)
        before.close()
        _HELD[run.path].hold_folder(run.path)
        back.append(LOCK)
    if not (run.path / TOKEN).exists():
        _write_token(run.path / TOKEN, token)
        back.append(TOKEN)
    return back


def _write_token(path: Path, token: str) -> None:
    """There whole or not at all: an empty one would be taken for a token."""
    try:
        write_whole(path, token, mode=0o600, sync=False)
    except OSError as error:
        raise PipelineError(f"{path} cannot be written: {error.strerror or error}") from error


def is_alive(path: Path) -> bool:
    """True while the process that owns the folder lives, in whatever PID namespace, or where that is unknown."""
    return is_held(path)


def _folders() -> list[Path]:
    found = [path for path in base_dir().iterdir() if path.is_dir() and not path.is_symlink()]
    return [path for path in found if path.name not in (SERVICES, WEB_SERVICES)]


def running() -> list[RunDir]:
    """Pipelines that run now, oldest first."""
    found = [path for path in _folders() if not path.name.startswith(NEW) and is_alive(path)]
    return [RunDir(path) for path in sorted(found, key=_made)]


def _made(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0  # it ended just now


def dead() -> list[Path]:
    """Folders of pipelines that are gone."""
    return [path for path in _folders() if not is_alive(path) and not _is_young(path)]


def sweep() -> list[str]:
    """Removes the folders of dead pipelines and ends processes they left; gives a line for each."""
    done: list[str] = []
    for path in dead():
        done += [f"ended leftover process {pid}" for pid in _end_leftovers(path)]
        shutil.rmtree(path, ignore_errors=True)
        done.append(f"removed {path.name}")
    return done


def _is_young(path: Path) -> bool:
    """True for a folder that another pipeline is just making: it has no lock yet."""
    try:
        return not (path / LOCK).exists() and time.time() - path.stat().st_mtime < YOUNG_S
    except OSError:
        return True  # gone while we looked


def _end_leftovers(path: Path) -> list[int]:
    """The children that it noted, where their ids are of this PID namespace, and whatever else bears its mark."""
    ended: list[int] = []
    for pid, since in noted(path).values() if owner_of(path / LOCK) else ():
        if is_same(pid, since):
            with contextlib.suppress(ProcessLookupError):  # gone meanwhile
                os.kill(pid, signal.SIGKILL)
                ended.append(pid)
    return sorted({*ended, *end_strays(path)})


def attach(which: str | None = None) -> RunDir:
    """The running pipeline called `which` (name or start of it), or the only one. Raises PipelineError."""
    starts = () if which is None else (which, file_name(which, NAME_MAX))
    found = [run for run in running() if which is None or run.name.startswith(starts)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(run.name for run in running()) or "none"
    if not found:
        raise PipelineError(f"no running pipeline{f' called {which!r}' if which else ''}; running: {names}")
    raise PipelineError(f"several pipelines run, name one: {names}")
