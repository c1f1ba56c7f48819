"""Voices by name, and what this host asks of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.speech import kokoro
from audio_pipeline.models.voices import by_name
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.policy import Policy, policy_path, read_policy
from tests.models.voice_drafts import draft


class Network:
    """Says which style it was asked for: as many samples as the style's first number."""

    def timed(self, phonemes: str, style: np.ndarray, speed: float) -> tuple[np.ndarray, np.ndarray]:
        return np.full(10, style[0], np.float32) * speed, np.zeros(0, np.float32)


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of its own, with two stock voices."""
    for name, folder in (("AUDIO_PIPELINE_VOICES", "voices"), ("XDG_CONFIG_HOME", "config")):
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.delenv("AUDIO_PIPELINE_VOICE_POLICY", raising=False)
    monkeypatch.setattr(kokoro, "load", lambda *_: Network())
    monkeypatch.setattr(kokoro, "voice_names", lambda: ["af_one", "bm_two"])
    monkeypatch.setattr(kokoro, "load_pack", lambda name: np.full((510, 256), 7, np.float32))
    return tmp_path


def test_an_enrolled_voice_speaks_with_its_own_style() -> None:
    wanted = draft("Ann")
    Library().add(wanted)
    sound = by_name.open_voice("ANN", speed=1.5).synthesise("Hello.")
    assert sound == pytest.approx(np.full(10, wanted.pack[50, 0] * 1.5))
    assert by_name.open_voice("af_one").synthesise("Hello.") == pytest.approx(np.full(10, 7.0))
    assert by_name.voice_names() == ["light", "af_one", "bm_two", "Ann"]


def test_other_engines_get_the_sample_and_a_folder_of_the_voice() -> None:
    wanted = draft("Ann")
    Library().add(wanted)
    found = by_name.enrolled_sample("ann")
    assert found and found[0] == wanted.sample_flac and found[1] == Library().cache_folder("Ann")
    assert by_name.enrolled_sample("af_one") is None
    Library().add(draft("Bob", consent=False))
    with pytest.raises(ConfigError, match="has no consent"):
        by_name.enrolled_sample("Bob")


@pytest.mark.parametrize(("name", "hint"), [("An", "did you mean 'Ann'"), ("af_on", "did you mean 'af_one'")])
def test_an_unknown_voice_names_those_that_are_here(name: str, hint: str) -> None:
    Library().add(draft("Ann"))
    with pytest.raises(ConfigError, match=hint + "'?.*here are light, af_one, bm_two, Ann"):
        by_name.open_voice(name)


def test_without_consent_a_voice_is_silent_unless_the_host_says_otherwise(host: Path) -> None:
    Library().add(draft("Ann", consent=False))
    with pytest.raises(ConfigError, match="voice 'Ann' has no consent of its speaker, so it cannot be used"):
        by_name.open_voice("Ann")
    policy_path().parent.mkdir(parents=True)
    policy_path().write_text("consent: false\n")
    assert len(by_name.open_voice("Ann").synthesise("Hello.")) == 10


def test_both_are_on_unless_a_file_says_no(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_policy() == Policy(True, True, None)
    file = host / "policy.yaml"
    monkeypatch.setenv("AUDIO_PIPELINE_VOICE_POLICY", str(file))
    with pytest.raises(ConfigError, match="is not there"):
        read_policy()
    file.write_text("")
    assert read_policy() == Policy(True, True, file)
    file.write_text("watermark: no\n")
    assert read_policy() == Policy(False, True, file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("watermrk: false", "'watermrk' is not known, did you mean 'watermark'"),
        ("consent: 0", "consent: expected true or false, got 0"),
        ("- consent", "expected watermark and consent, got"),
        ("consent: [", "is no YAML"),
        ("path: /x", "'path' is not known"),
        ("1: 2", "'?1'? is not known"),
        ("!!python/object/apply:os.system [id]", "is no YAML"),
    ],
)
def test_a_policy_that_is_not_understood_switches_nothing_off(host: Path, text: str, message: str) -> None:
    policy_path().parent.mkdir(parents=True, exist_ok=True)
    policy_path().write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_policy()


def test_a_policy_that_others_may_write_is_not_believed(host: Path) -> None:
    policy_path().parent.mkdir(parents=True, exist_ok=True)
    policy_path().write_text("consent: false")
    policy_path().chmod(0o666)
    with pytest.raises(ConfigError, match="writable only by you"):
        read_policy()
