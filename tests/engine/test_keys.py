"""Keys: files that only their owner can read, names that are data, and one sentence for everything else."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.cli.main import main
from audio_pipeline.errors import KeysError
from audio_pipeline.keys import FOLDER, ROLES, Keys, keys_dir, may
from audio_pipeline.private_file import LOCK

LAPTOP = zmq.curve_keypair()[0].decode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "keys"))
    return tmp_path / "keys"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_kept_where_nobody_else_can_read_them(folder: Path) -> None:
    made = Keys().new("studio")
    Keys().allow("laptop", LAPTOP, "play")
    held = Keys()
    assert held.mine() == ("studio", made) and held.peer("laptop").role == "play" and held.who(LAPTOP) == "laptop"
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {"own.json": 0o600, "known.json": 0o600, LOCK: 0o600}


@pytest.mark.parametrize("file", ["own.json", "known.json"])
@pytest.mark.parametrize("wider", [0o640, 0o604, 0o660, 0o666, 0o601])
def test_a_file_that_others_can_open_is_refused_and_the_sentence_says_what_to_do(
    folder: Path, file: str, wider: int
) -> None:
    held = Keys()
    held.new("studio")
    held.allow("laptop", LAPTOP, "play")
    (folder / file).chmod(wider)
    with pytest.raises(KeysError, match=rf"{file} has mode {wider:04o}, expected 0600.*chmod 600") as caught:
        Keys()
    assert "\n" not in str(caught.value)


def test_a_link_in_place_of_a_file_is_not_followed(folder: Path, tmp_path: Path) -> None:
    Keys().new("studio")
    (folder / "own.json").rename(tmp_path / "elsewhere")
    (folder / "own.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeysError, match="cannot be read"):
        Keys()


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: "[]",
        lambda raw: "{",
        lambda raw: "[" * 100_000,
        lambda raw: json.dumps({"a": 5}),
        lambda raw: json.dumps({"a": {"public": LAPTOP, "secret": raw["studio"]["secret"]}}),
        lambda raw: json.dumps({"a": {"public": "x" * 40, "secret": None}}),
    ],
)
def test_a_damaged_file_is_refused_and_no_secret_is_said(folder: Path, damage: Callable[[object], str]) -> None:
    secret = Keys().new("studio").secret
    path = folder / "own.json"
    path.write_text(damage(json.loads(path.read_text())))
    with pytest.raises(KeysError, match="damaged") as caught:
        Keys()
    assert secret not in str(caught.value)


@given(name=st.text(max_size=60))
def test_a_name_is_data_and_never_a_path(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("k") / "keys"
    held = Keys(folder)
    try:
        held.new(name)
    except KeysError:
        assert not folder.exists()
        return
    assert {path.name for path in folder.parent.rglob("*")} == {"keys", "own.json", LOCK}
    assert Keys(folder).mine(name)[0] == name


@pytest.mark.parametrize("key", ["", "short", "x" * 41, "é" * 40, "~" * 40, "{real}x", '"' * 40])
def test_what_is_no_key_is_not_written_down(folder: Path, key: str) -> None:
    with pytest.raises(KeysError, match="40 characters of Z85"):
        Keys().allow("laptop", key.format(real=LAPTOP), "play")
    assert not folder.exists()


def test_one_key_has_one_name_and_one_role(folder: Path) -> None:
    Keys().allow("laptop", LAPTOP, "play")
    with pytest.raises(KeysError, match="this key is 'laptop' already"):
        Keys().allow("phone", LAPTOP, "control")
    Keys().allow("laptop", LAPTOP, "listen")
    assert Keys().peer("laptop").role == "listen"


def test_the_address_book_shows_that_it_changed(folder: Path) -> None:
    held = Keys()
    stamps = [held.stamp()]
    held.allow("laptop", LAPTOP, "play")
    stamps.append(held.stamp())
    held.remove("laptop")
    stamps.append(held.stamp())
    assert len(set(stamps)) == 3


def test_each_role_may_what_those_before_it_may() -> None:
    for at, role in enumerate(ROLES):
        assert [may(role, other) for other in ROLES] == [index <= at for index in range(len(ROLES))]
    assert not may("root", "host")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show"], "this host has no key; make one with `audio-pipeline keys new`"),
        (["show", "studo"], "did you mean 'studio'"),
        (["remove", "nobody"], "no key is called 'nobody'"),
        (["new", "studio"], "there is a key 'studio' of this host already"),
        (["allow", "laptop"], "expected a name and a public key"),
        (["allow", "laptop", "short"], "a public key has 40 characters of Z85"),
        (["remove"], "expected a name"),
    ],
)
def test_the_command_says_in_one_sentence_what_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    if words != ["show"]:
        Keys().new("studio")
    assert main(["keys", *words]) in (2, 9)
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and not out


def test_the_commands_from_new_to_remove(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "new", "studio"]) == 0
    public = capsys.readouterr().out.split()[0]
    assert main(["keys", "show"]) == 0
    assert capsys.readouterr().out.strip() == public
    assert main(["keys", "allow", "laptop", LAPTOP, "--role", "play"]) == 0
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert f"{public}  studio  (this host)" in listed and f"{LAPTOP}  laptop  play" in listed
    assert Keys().mine()[1].secret not in listed
    assert main(["keys", "remove", "laptop"]) == 0 and not Keys().known


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert keys_dir() == tmp_path / "audio-pipeline" / "keys"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keys_dir() == tmp_path / ".config" / "audio-pipeline" / "keys"
