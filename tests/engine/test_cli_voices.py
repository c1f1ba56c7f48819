"""The commands about voices that are here: cards, likeness, export, import, delete, refine."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_pipeline.cli import voices_refine
from audio_pipeline.doctor import checks
from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices import checked_json, fit
from audio_pipeline.models.voices.enrolled import Library
from audio_pipeline.models.voices.fit import Reference
from audio_pipeline.models.voices.fitted import Fit
from tests.engine.voice_host import AGREED, Run, encoder, host, reader, run, sample
from tests.models.voice_drafts import draft
from tests.patience import PATIENCE_S

__all__ = ["encoder", "host", "run", "sample"]
pytestmark = pytest.mark.usefixtures("host")


def test_the_card_as_page_and_picture(run: Run, sample: Path, tmp_path: Path) -> None:
    run("enrol", sample, "--name", "<b>Ann $x$", "--consent", AGREED)
    png, page = tmp_path / "card.png", tmp_path / "card.html"
    run("show", "<b>Ann $x$", "--png", png, "--html", page)
    assert png.read_bytes()[:4] == b"\x89PNG"
    text = page.read_text()
    assert "<b>Ann" not in text and "&lt;b&gt;Ann $x$" in text and "http" not in text
    assert "exists already; add --force" in run("show", "<b>Ann $x$", "--png", png, fails=2)
    run("show", "<b>Ann $x$", "--png", png, "--force")


def test_a_picture_of_a_card_is_a_png(run: Run, tmp_path: Path) -> None:
    Library().add(draft("Ann"))
    assert "ends in .png" in run("show", "ann", "--png", tmp_path / "ann.jpg", fails=2)
    assert not (tmp_path / "ann.jpg").exists()


def test_the_card_for_a_program(run: Run) -> None:
    Library().add(draft("Ann"))
    assert json.loads(run("show", "ann", "--json")) == json.loads(checked_json.dump(Library().record("Ann")))


@pytest.mark.parametrize("below", ["", "x"])
def test_a_file_is_no_folder_of_voices(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("AUDIO_PIPELINE_VOICES", str(tmp_path / "file" / below))
    said = run("list", fails=2)
    assert "the voices' folder" in said and "Not a directory" in said and len(said.splitlines()) == 1
    findings = [(finding.level, finding.detail) for finding in checks.voices()]
    assert findings[0][0] == "lacks" and "Not a directory" in findings[0][1]


def test_alike_and_different(run: Run, sample: Path) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    assert float(run("score", "Ann", reader("3005", 1)).split()[0]) > 0.8
    assert float(run("score", reader("1998"), "ann").split()[0]) < 0.7
    assert "'Bob' is neither an enrolled voice nor a file" in run("score", "Ann", "Bob", fails=2)


def test_export_import_delete(run: Run, tmp_path: Path) -> None:
    Library().add(draft("Ann"))
    path = tmp_path / "ann.voice"
    run("export", "Ann", "-o", path)
    assert "exists already; add --force" in run("export", "Ann", "-o", path, fails=2)
    assert "is a folder" in run("export", "Ann", "-o", tmp_path, "--force", fails=2)
    assert "cannot be written: No such file" in run("export", "Ann", "-o", tmp_path / "none" / "a.voice", fails=1)
    assert "already" in run("import", path, fails=2)
    said = run("import", tmp_path / "nofile.voice", fails=3)
    assert "nofile.voice' cannot be read: No such file" in said and "no voice that was exported" not in said
    assert "'Bob' is here" in run("import", path, "--name", "Bob")
    assert "add --yes" in run("delete", "Bob", fails=2)
    assert "removed 'Bob'" in run("delete", "bob", "--yes")
    assert "did you mean 'Ann'" in run("delete", "Anne", "--yes", fails=2)
    assert Library().names() == ["Ann"]


@pytest.mark.parametrize("by", ["id", "folder"])
def test_a_damaged_voice_can_be_removed_by_what_the_list_shows(run: Run, tmp_path: Path, by: str) -> None:
    kept, damaged = Library().add(draft("Ann")), Library().add(draft("Bob"))
    folder = tmp_path / "voices" / f"{damaged.id}-1"
    (folder / "voice.json").write_text("{")
    said = run("list")
    assert f"voices delete {damaged.id}" in said and said.count("damaged:") == 1
    assert [finding.mend for finding in checks.voices() if damaged.id in finding.mend]
    name = damaged.id if by == "id" else folder.name
    assert "add --yes" in run("delete", name, fails=2) and folder.exists()
    run("delete", name, "--yes")
    assert not folder.exists() and Library().records() == [kept] and Library().damaged() == {}
    assert "no voice is called" in run("delete", name, "--yes", fails=2)


def refining(press: bool, found: float = 0.83) -> Callable[..., Fit]:
    """A search that goes a step, in which somebody may press Ctrl-C."""

    def refine(
        reference: Reference, start: Fit, *, seconds: float, progress: Any, cancelled: Any, checkpoint_folder: Path
    ) -> Fit:
        (checkpoint_folder / "state").write_text("1")
        progress(1, 0.8, seconds / 2)
        if press:
            os.kill(os.getpid(), signal.SIGINT)
        assert cancelled() == press
        return replace(start, pack=start.pack * 2, method="refined", fitted_likeness=found)

    return refine


@pytest.mark.parametrize("press", [False, True])
def test_refining_puts_the_better_voice_in_place(
    run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, press: bool
) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    before = Library().record("Ann")
    monkeypatch.setattr(fit, "refine", refining(press))
    said = run("refine", "Ann", "--minutes", "0.5")
    after = Library().record("Ann")
    assert "likeness 0.71 -> 0.83 (+0.12)" in said and ("continues from here" in said) == press
    assert (after.id, after.revision, after.provenance.method) == (before.id, 2, "refined")
    assert after.consent == before.consent and after.created == before.created
    assert Library().voice("Ann").pack[0, 0] == np.float32(0.2)
    assert Library().work_folder("Ann").exists() == press, "what is needed to go on is kept only where there is need"


def test_a_stopped_search_goes_on_from_where_it_began(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    monkeypatch.setattr(fit, "refine", refining(press=True))
    run("refine", "Ann")
    starts = []

    def again(reference: Reference, start: Fit, **how: Any) -> Fit:
        starts.append(start)
        assert (how["checkpoint_folder"] / "state").read_text() == "1"
        return replace(start, pack=start.pack * 3, method="refined", fitted_likeness=0.9)

    monkeypatch.setattr(fit, "refine", again)
    run("refine", "Ann")
    assert starts[0].pack[0, 0] == np.float32(0.1) and starts[0].method == "quick"
    assert Library().voice("Ann").pack[0, 0] == np.float32(0.1) * 3
    assert not Library().work_folder("Ann").exists()


def test_a_search_that_cannot_begin_leaves_nothing(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refine(*_: object, **__: object) -> Fit:
        raise ConfigError("needs PyTorch")

    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    monkeypatch.setattr(fit, "refine", refine)
    assert "needs PyTorch" in run("refine", "Ann", fails=2)
    assert not Library().work_folder("Ann").exists()


def test_what_is_no_better_is_not_kept(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    monkeypatch.setattr(fit, "refine", refining(press=False, found=0.7))
    assert "nothing better than likeness 0.71 was found" in run("refine", "Ann")
    assert Library().record("Ann").revision == 1


@pytest.mark.parametrize("gain", [0.0, 0.00004, 0.004])
def test_what_does_not_show_is_no_gain(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    """The record has four digits of the likeness: the start, scored again, must not count as better."""
    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    before = Library().files("Ann")
    monkeypatch.setattr(fit, "refine", refining(press=False, found=0.71 + gain))
    assert "nothing better than likeness 0.71 was found" in run("refine", "Ann")
    assert Library().files("Ann") == before


@pytest.mark.parametrize("press", [False, True])
def test_a_search_that_ends_before_its_first_check_changes_nothing(
    run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, press: bool
) -> None:
    def refine(reference: Reference, start: Fit, **how: Any) -> Fit:
        if press:
            os.kill(os.getpid(), signal.SIGINT)
        return start

    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    before = Library().files("Ann")
    monkeypatch.setattr(fit, "refine", refine)
    assert "nothing better than likeness 0.71 was found" in run("refine", "Ann")
    assert Library().files("Ann") == before


def test_a_log_has_lines_while_the_search_loads(run: Run, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()

    class Log(io.StringIO):
        def write(self, text: str) -> int:
            if "loading" in text:
                told.set()
            return super().write(text)

    def refine(reference: Reference, start: Fit, **how: Any) -> Fit:
        assert told.wait(PATIENCE_S)
        return start

    run("enrol", sample, "--name", "Ann", "--consent", AGREED)
    monkeypatch.setattr(fit, "refine", refine)
    monkeypatch.setattr(voices_refine, "LINE_S", 0.01)
    monkeypatch.setattr(sys, "stderr", Log())
    run("refine", "Ann")
    assert told.is_set()


def test_time_for_a_search_is_a_time(run: Run) -> None:
    Library().add(draft("Ann"))
    assert "--minutes: expected more than 0" in run("refine", "Ann", "--minutes", "0", fails=2)


def test_an_action_is_needed(run: Run) -> None:
    assert "expected one of enrol, list" in run(fails=2)
