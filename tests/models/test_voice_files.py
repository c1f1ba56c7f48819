"""No file in a voice's folder, nor the policy, makes a reader wait or fills memory."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices import checkpoint, files, policy
from audio_pipeline.models.voices.adam import State
from tests.models.voices import reference, start


def test_a_fifo_and_a_device_are_no_files_of_a_voice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is not a regular file"):
            files.read(path, 100)


def test_a_link_is_followed_only_where_somebody_named_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert files.read(tmp_path / "link", 1, follow=True) == b"x"
    with pytest.raises(OSError, match="symbolic"):
        files.read(tmp_path / "link", 1)


def test_a_policy_that_is_a_fifo_switches_nothing_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "policy", 0o600)
    monkeypatch.setenv(policy.FILE, str(tmp_path / "policy"))
    with pytest.raises(ConfigError, match="must be your own file, writable only by you"):
        policy.read_policy()


@pytest.mark.parametrize(
    "damage",
    ["fifo", "long", "deep", "text", "huge"],
)
def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path, damage: str) -> None:
    voice, begin = reference(), start()
    state = State.at(np.zeros(checkpoint.kokoro_half(begin), np.float32))
    checkpoint.save_state(tmp_path, voice, begin, state)
    found = checkpoint.load_state(tmp_path, voice, begin)
    assert found is not None and found.step == asdict(state)["step"]
    numbers = tmp_path / checkpoint.NUMBERS
    about = json.loads(numbers.read_text())
    assert about["tensors"] == hashlib.sha256((tmp_path / checkpoint.TENSORS).read_bytes()).hexdigest()
    if damage == "fifo":
        numbers.unlink()
        os.mkfifo(numbers)
    elif damage == "long":
        numbers.write_bytes(b" " * (checkpoint.NUMBERS_BYTES + 1))
    elif damage == "deep":
        numbers.write_bytes(b"[" * 9_000)
    else:
        about["state"]["step"] = "3" if damage == "text" else 1e300
        numbers.write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"the checkpoint in .* is damaged"):
        checkpoint.load_state(tmp_path, voice, begin)
