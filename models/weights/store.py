"""Where model weights and the demo song lie, and how they get there: look, fetch, convert once, verify."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from audio_pipeline.errors import WeightsError, nearest
from audio_pipeline.home import CACHE
from audio_pipeline.models.weights import scratch
from audio_pipeline.models.weights.registry import REGISTRY, Asset, asset
from audio_pipeline.models.weights.sources import Progress, Source, check, sha256, terminal_bar

__all__ = ["REGISTRY", "Asset", "State", "asset", "cache_folder", "fetch", "locate", "path", "status", "verify"]

MANIFEST = "manifest.json"
INSTALLS = 10  # tries to put a finished folder in place


@dataclass(frozen=True)
class State:
    """Where an asset is found now: `place` is 'folder', 'cache' or None."""

    asset: Asset
    place: str | None
    folder: Path | None
    bytes: int


def models_folder() -> Path | None:
    """The folder of the user's own copies (`AUDIO_PIPELINE_MODELS`), searched first."""
    value = os.environ.get("AUDIO_PIPELINE_MODELS")
    return Path(value) if value else None


def cache_folder() -> Path:
    """Where fetched weights are: `models` in $AUDIO_PIPELINE_CACHE, or in $XDG_CACHE_HOME/audio-pipeline (~/.cache)."""
    base = os.environ.get("AUDIO_PIPELINE_CACHE")
    return (Path(base) if base else CACHE.folder()) / "models"


def locate(name: str) -> State:
    """Looks in the user's folder, then in the cache; reads no file's content."""
    wanted = asset(name)
    for place, base in (("folder", models_folder()), ("cache", cache_folder())):
        folder = base / name if base else None
        if folder and all(os.path.isfile(folder / file) for file in wanted.files):  # False where nobody may look
            size = sum((folder / file).stat().st_size for file in wanted.files)
            return State(wanted, place, folder, size)
    return State(wanted, None, None, 0)


def status() -> list[State]:
    """The state of everything in the registry."""
    return [locate(name) for name in REGISTRY]


def path(name: str, file: str | None = None, *, fetch_missing: bool = True) -> Path:
    """The path of one file of an asset (by default its first), fetched where it is missing and that is allowed."""
    wanted = asset(name)
    file = file or wanted.files[0]
    if file not in wanted.files:
        raise WeightsError(f"weights {name!r} have no file {file!r}{nearest(file, wanted.files)}")
    folder = locate(name).folder
    if folder is None:
        folder = fetch(name) if fetch_missing else _folder_of(name)
    return folder / file


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Brings an asset into the cache, unless it is here already, and returns its folder.

    Sources are tried in their order; an archive in `AUDIO_PIPELINE_MODELS` goes before the network. Without
    `progress` a bar is drawn where standard error is a terminal.
    """
    found = locate(name)
    if found.folder:
        return found.folder
    wanted = found.asset
    tried: list[str] = []
    for source in wanted.sources:
        try:
            with nullcontext(progress) if progress else terminal_bar(f"fetching {name}") as report:
                return _obtain(wanted, source, report)
        except WeightsError as error:
            tried.append(f"{source}: {error}")
    own = models_folder()
    places = f"{own / name} and {own} (AUDIO_PIPELINE_MODELS), " if own else ""
    target = f"into {own}" if own else "into a folder that the variable AUDIO_PIPELINE_MODELS then names"
    raise WeightsError(
        f"weights {name!r} could not be fetched; tried {places}{cache_folder() / name}; {'; '.join(tried)}. With a "
        f"network run: audio-pipeline models fetch {name}; without one get {wanted.sources[0].by_hand} elsewhere and "
        f"put it {target}"
    )


def verify(name: str) -> None:
    """Compares every file of an asset with its recorded SHA-256; WeightsError names the one that differs."""
    folder = _folder_of(name)
    recorded = _recorded(asset(name), folder)
    for file in asset(name).files:
        if file not in recorded:
            raise WeightsError(f"weights {name!r}: no sha256 is recorded for {folder / file}")
        check(folder / file, recorded[file])


def _folder_of(name: str) -> Path:
    folder = locate(name).folder
    if folder is None:
        raise WeightsError(f"weights {name!r} are not here; get them with: audio-pipeline models fetch {name}")
    return folder


def _recorded(wanted: Asset, folder: Path) -> dict[str, str]:
    """File hashes: the registry's for files used as they come, the manifest's for converted ones."""
    if wanted.convert is None:
        return {name: digest for source in wanted.sources for name, digest in source.digests().items()}
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in manifest["sha256"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"weights {wanted.name!r}: {folder / MANIFEST} cannot be read: {error}") from error


def _obtain(wanted: Asset, source: Source, progress: Progress) -> Path:
    """Fetches and converts in a private folder beside the cache entry, then renames it into place."""
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch.sweep(cache)
        with scratch.folder(cache, wanted.name) as own:
            raw, done = own / "raw", own / "done"
            raw.mkdir()
            done.mkdir(mode=0o700)
            _bring(wanted, source, raw, progress)
            _convert(wanted, raw, done)
            _seal(wanted, done)
            return _install(done, cache / wanted.name)
    except OSError as error:
        raise WeightsError(f"{cache} cannot be written: {CACHE.why(error)}") from error


def _bring(wanted: Asset, source: Source, raw: Path, progress: Progress) -> None:
    own = models_folder()
    for folder in (own / wanted.name, own) if own else ():
        if (archive := source.find(folder)) is not None:
            source.unpack(archive, raw)
            return
    source.fetch(raw, progress)


def _convert(wanted: Asset, raw: Path, done: Path) -> None:
    """Runs the asset's conversion, or moves files that are used as they come."""
    if wanted.convert:
        module, function = wanted.convert.split(":")
        getattr(import_module(f"audio_pipeline.models.{module}"), function)(raw, done)
        return
    for file in wanted.files:
        shutil.move(raw / file, done / file)


def _seal(wanted: Asset, folder: Path) -> None:
    """Writes the manifest of what the conversion gave and takes everybody else's access away."""
    hashes = {file: sha256(folder / file) for file in wanted.files}
    (folder / MANIFEST).write_text(json.dumps({"name": wanted.name, "sha256": hashes}, indent=1), encoding="utf-8")
    for file in folder.iterdir():
        file.chmod(0o600)


def _install(done: Path, target: Path) -> Path:
    """Renames a finished folder into place; another process that came first did the same work.

    One that lacks a file goes aside first, into the scratch folder. Whoever does not succeed looks again: what another
    process has put there meanwhile is never removed.
    """
    for attempt in range(INSTALLS):
        try:
            done.rename(target)
            return target
        except OSError:
            if all((target / file.name).is_file() for file in done.iterdir()):
                return target
        with suppress(FileNotFoundError):
            target.rename(done.with_name(f"aside-{attempt}"))
    raise OSError(f"{target} is changed by another program")
