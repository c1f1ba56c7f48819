"""Voices of XTTS around the network, which is stood in for: names, licence, kept latents, streaming and cancel."""

from __future__ import annotations

import io
import os
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")

from audio_pipeline.errors import ConfigError, MediaError, WeightsError  # noqa: E402
from audio_pipeline.models.speech import coqui, xtts  # noqa: E402
from audio_pipeline.models.speech.coqui import fill, read_checkpoint, weights_folder  # noqa: E402
from audio_pipeline.models.speech.engine import Cancellable, Cancelled, Streaming  # noqa: E402
from audio_pipeline.models.speech.xtts import FIRST, Latents, XttsVoice  # noqa: E402
from audio_pipeline.models.speech.xtts_vocoder import StreamVocoder  # noqa: E402
from audio_pipeline.models.voices import by_name, xtts_voices  # noqa: E402
from audio_pipeline.models.voices.xtts_voices import AGREED, latents_of, open_xtts  # noqa: E402

STEP = 1_024


class Tones:
    """In place of the networks: each character is three latents, each of them 1024 samples of a tone."""

    def __init__(self, folder: Path = Path(), **settings: Any) -> None:
        self.folder, self.conditioned, self.steps = folder, 0, 0

    def condition(self, sound: np.ndarray, rate: int) -> Latents:
        self.conditioned += 1
        return Latents(torch.full((1, 2, 3), float(len(sound))), torch.full((1, 512, 1), float(rate)))

    def speakers(self) -> dict[str, Latents]:
        return {name: Latents(torch.zeros(1, 2, 3), torch.zeros(1, 512, 1)) for name in ("Ana", "Bo")}

    def latents(self, text: str, language: str, voice: Latents, seed: int) -> Iterator[torch.Tensor]:
        for _ in range(3 * len(text)):
            self.steps += 1
            yield torch.full((1, 1), float(self.steps))

    def vocoder(self, voice: Latents, speed: float) -> StreamVocoder:
        def decode(frames: torch.Tensor) -> torch.Tensor:
            return torch.sin(torch.arange(frames.shape[2] * STEP) / 10)[None, None]

        return StreamVocoder(lambda x: x.transpose(1, 2), decode, hop=STEP, reach=1, edge=1)


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "models" / "xtts"
    folder.mkdir(parents=True)
    for name in (xtts.CONFIG, xtts.MODEL, xtts.VOCABULARY):
        (folder / name).write_text("{}")
    monkeypatch.setenv("AUDIO_PIPELINE_MODELS", str(folder.parent))
    monkeypatch.setenv(AGREED, "1")
    monkeypatch.setattr(xtts_voices, "Xtts", Tones)
    return folder


def flac(seconds: float = 2.0, rate: int = 22_050) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((round(seconds * rate), 2)), rate, format="FLAC")
    return file.getvalue()


def voice(model: Tones | None = None) -> tuple[XttsVoice, Tones]:
    model = model or Tones()
    return XttsVoice(model, Latents(torch.zeros(1), torch.zeros(1))), model  # type: ignore[arg-type]


def test_it_speaks_only_where_its_licence_was_accepted(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AGREED)
    with pytest.raises(ConfigError, match=r"not be used commercially .*set COQUI_TOS_AGREED=1"):
        open_xtts("xtts:Ana")


def test_missing_weights_name_the_files_and_the_folders(weights: Path) -> None:
    (weights / xtts.MODEL).unlink()
    with pytest.raises(WeightsError, match=r"xtts are not here, expected config.json, model.pth, vocab.json in .*xtts"):
        open_xtts("xtts")


def test_a_voice_that_is_not_there_is_named_with_those_that_are(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown 'xtts:Anna', did you mean 'Ana'\?; .* here are Ana, Bo"):
        open_xtts("xtts:Anna")
    assert open_xtts("xtts").policy == open_xtts("xtts:Bo@en").policy


def test_an_enrolled_voice_goes_before_the_models_own(weights: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def sample(name: str) -> tuple[bytes, Path]:
        asked.append(name)
        return flac(), tmp_path / "work"

    open_xtts("xtts:Ana@de", sample)
    assert asked == ["Ana"]
    assert len(list((tmp_path / "work").iterdir())) == 1


def test_if_not_said_otherwise_the_library_is_asked(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"anna": (flac(), tmp_path / "work")}
    monkeypatch.setattr(by_name, "enrolled_sample", known.get, raising=False)
    open_xtts("xtts:anna")
    assert (tmp_path / "work").is_dir()
    with pytest.raises(ConfigError, match="unknown 'xtts:annie'"):
        open_xtts("xtts:annie")


def test_a_configuration_has_a_bound(weights: Path, tmp_path: Path) -> None:
    """A sparse file of a terabyte beside the weights is refused by its length, not read."""
    with (weights / xtts.CONFIG).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(WeightsError, match=r"config\.json is larger than 1048576 bytes"):
        latents_of(Tones(weights), flac(), tmp_path / "cache")  # type: ignore[arg-type]


def test_latents_are_made_once_for_each_recording_and_model(weights: Path, tmp_path: Path) -> None:
    model, cache = Tones(weights), tmp_path / "cache"
    first, again = (latents_of(model, flac(), cache) for _ in range(2))  # type: ignore[arg-type]
    assert model.conditioned == 1
    assert torch.equal(first.style, again.style) and torch.equal(first.speaker, again.speaker)
    latents_of(model, flac(3), cache)  # type: ignore[arg-type]
    (weights / xtts.CONFIG).write_text('{"other": 1}')
    latents_of(model, flac(), cache)  # type: ignore[arg-type]
    assert model.conditioned == 3


def test_latents_are_for_their_user_alone_and_a_damaged_file_is_made_anew(weights: Path, tmp_path: Path) -> None:
    model, cache = Tones(weights), tmp_path / "cache"
    latents_of(model, flac(), cache)  # type: ignore[arg-type]
    (file,) = cache.iterdir()
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700 and stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(b"\x80\x04.")
    latents_of(model, flac(), cache)  # type: ignore[arg-type]
    assert model.conditioned == 2


def test_a_recording_that_is_no_sound_is_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="the recording of the voice: cannot be read"):
        latents_of(Tones(weights), b"no sound", tmp_path)  # type: ignore[arg-type]


def test_it_streams_and_can_be_cancelled() -> None:
    engine, _ = voice()
    assert isinstance(engine, Streaming) and isinstance(engine, Cancellable)


def test_the_first_sound_comes_after_few_latents_and_all_of_it_in_the_end() -> None:
    engine, model = voice()
    stream = engine.stream("One two three four.")
    first = next(stream)
    assert model.steps == FIRST
    parts = [first, *stream]
    assert sum(map(len, parts)) == model.steps * STEP == 3 * len("One two three four.") * STEP
    assert max(map(len, parts)) > 4 * len(first)  # they grow


def test_spoken_is_what_was_streamed() -> None:
    text = 'He said "one two three four five six", and then (after a while) "seven". ' * 6
    engine, other = voice()[0], voice()[0]
    assert np.array_equal(engine.synthesise(text), np.concatenate(list(other.stream(text))))
    assert not len(engine.synthesise('"..."'))


def test_cancel_ends_the_synthesis_under_way_and_not_the_next() -> None:
    engine, model = voice()
    engine.cancel()  # nothing is under way
    stream = engine.stream("One two three four.")
    next(stream)
    engine.cancel()
    with pytest.raises(Cancelled):
        next(stream)
    assert model.steps <= FIRST + 1
    assert len(engine.synthesise("One."))


def test_a_stream_that_is_dropped_leaves_nothing_under_way() -> None:
    engine, _ = voice()
    stream = engine.stream("One two three four.")
    next(stream)
    stream.close()
    engine.cancel()
    assert len(engine.synthesise("One."))


def test_without_the_package_the_voice_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coqui, "NEEDED", ("no_such_package",))
    with pytest.raises(ConfigError, match=r"needs the package no_such_package.*make coqui"):
        by_name.open_voice("xtts:Ana")


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, ("touch " + str(tmp_path / "ran"),)

    for path, write in ((tmp_path / "a.pth", pickle.dump), (tmp_path / "b.pth", torch.save)):
        with path.open("wb") as file:
            write({"model": Evil()}, file)  # type: ignore[operator]
        with pytest.raises(WeightsError, match="was refused"):
            read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    torch.save([1], tmp_path / "c.pth")
    with pytest.raises(WeightsError, match="holds a list, expected a map"):
        read_checkpoint(tmp_path / "c.pth")


def test_tensors_that_do_not_fit_are_named() -> None:
    network = torch.nn.Linear(2, 3)
    good = network.state_dict()
    fill("it", network, good)
    fill("it", network, {"weight": good["weight"]}, elsewhere=("bias",))
    for tensors, message in (
        ({"weight": good["weight"]}, "it: 1 tensors are missing, such as bias"),
        ({**good, "more": good["bias"]}, "it: 1 tensors are unknown, such as more"),
        ({**good, "bias": good["weight"]}, "size mismatch for bias"),
    ):
        with pytest.raises(WeightsError, match=message):
            fill("it", network, tensors)


def test_own_copies_go_before_the_cache(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    assert weights_folder("xtts", (xtts.CONFIG,), "") == weights
    monkeypatch.delenv("AUDIO_PIPELINE_MODELS")
    assert weights_folder("xtts", (xtts.CONFIG,), "") == tmp_path / "models" / "xtts"
