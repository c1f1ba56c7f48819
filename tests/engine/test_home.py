"""Where the user's files are, when there is no home, it is not ours, or nothing can be written to it."""

from __future__ import annotations

import errno
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from audio_pipeline.errors import KeysError, PipelineError
from audio_pipeline.home import CACHE, CONFIG, DATA, NO_HOME, expanded, home
from audio_pipeline.keys import Keys, keys_dir
from audio_pipeline.models.voices.enrolled import Library, voices_folder
from audio_pipeline.models.voices.policy import policy_path, read_policy
from audio_pipeline.models.weights import store
from audio_pipeline.observe.exporter import the_token, token_file

VARIABLES = (
    "AUDIO_PIPELINE_CACHE",
    "AUDIO_PIPELINE_KEYS",
    "AUDIO_PIPELINE_MODELS",
    "AUDIO_PIPELINE_VOICES",
    "AUDIO_PIPELINE_VOICE_POLICY",
    *(base.variable for base in (CACHE, CONFIG, DATA)),
)


def unlisted(uid: int) -> Any:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No variable says where anything is, and the system lists no user (`docker run -u 12345`)."""
    for name in ("HOME", *VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unlisted)
    return monkeypatch


def test_without_any_home_everything_is_looked_for_and_nothing_found(bare: pytest.MonkeyPatch) -> None:
    assert home() == NO_HOME and not NO_HOME.exists()
    assert all(NO_HOME in path.parents for path in (keys_dir(), token_file(), policy_path(), voices_folder()))
    assert Keys().own == {} and Library().names() == [] and read_policy().path is None
    assert all(state.place is None for state in store.status())


@pytest.mark.parametrize("said", ["", "relative", "."])
def test_a_home_that_is_no_absolute_path_is_none(
    monkeypatch: pytest.MonkeyPatch, bare: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("HOME", said)
    monkeypatch.setenv("XDG_CONFIG_HOME", said)
    assert home() == NO_HOME and CONFIG.folder() == NO_HOME / ".config" / "audio-pipeline"


def test_the_list_of_users_knows_it_where_the_environment_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    assert str(home()) == pwd.getpwuid(os.getuid()).pw_dir


def test_each_variable_has_its_folder(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("HOME", "/h")
    assert [str(base.folder()) for base in (CONFIG, DATA, CACHE)] == [
        "/h/.config/audio-pipeline",
        "/h/.local/share/audio-pipeline",
        "/h/.cache/audio-pipeline",
    ]
    for base in (CONFIG, DATA, CACHE):
        bare.setenv(base.variable, str(tmp_path))
        assert base.folder() == tmp_path / "audio-pipeline"


def test_a_tilde_needs_no_home(bare: pytest.MonkeyPatch) -> None:
    assert expanded("~/env/bin/python") == NO_HOME / "env/bin/python"
    assert expanded("~") == NO_HOME
    assert expanded("~nobody-called-that/x") == Path("~nobody-called-that/x")
    assert expanded("a/~/b") == Path("a/~/b")


@pytest.mark.parametrize(
    "write",
    [
        lambda: Keys().new("studio"),
        lambda: the_token(token_file()),
        lambda: Library().check_writable(),
        lambda: store._obtain(*_nothing()),
    ],
    ids=["keys", "metrics", "voices", "weights"],
)
def test_what_must_be_written_names_the_variable(bare: pytest.MonkeyPatch, write: Any) -> None:
    """/proc takes no folder from anybody, root included."""
    bare.setenv("HOME", "/proc")
    with pytest.raises(PipelineError, match=r"/proc/.*; set XDG_(CONFIG|DATA|CACHE)_HOME to a folder of yours$"):
        write()


def _nothing() -> tuple[Any, ...]:
    asset = next(iter(store.REGISTRY.values()))
    return asset, asset.sources[0], lambda *_: None


def test_a_full_disk_is_not_mended_by_another_variable() -> None:
    assert CONFIG.why(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert CONFIG.why(OSError(errno.EROFS, "read-only")) == "read-only; set XDG_CONFIG_HOME to a folder of yours"


def test_a_home_of_somebody_else_is_one_sentence(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("a file where a folder should be")
    bare.setenv("HOME", str(tmp_path))
    with pytest.raises(KeysError, match="Not a directory; set XDG_CONFIG_HOME to a folder of yours"):
        Keys().new("studio")
