"""nodes, devices and models on the command line, and that the pages in docs/nodes are current."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audio_pipeline.cli import host
from audio_pipeline.cli import nodes as cli_nodes
from audio_pipeline.cli.main import main
from audio_pipeline.devices.sound import Device
from audio_pipeline.errors import WeightsError
from audio_pipeline.graph.registry import kinds
from audio_pipeline.node import ANY, Node, Ports
from audio_pipeline.settings import setting

PAGES = Path(__file__).resolve().parents[2] / "docs" / "nodes"
MICROPHONE = Device(
    3, "pulse", "ALSA", inputs=2, outputs=0, rate=44_100, is_default_input=True, is_default_output=False
)


@dataclass(frozen=True)
class Band:
    cut_hz: float = setting(80.0, "where it begins", unit="Hz", minimum=20)


@dataclass(frozen=True)
class Settings:
    path: str = setting(doc="a file | or none")
    gain_db: float | None = setting(None, "level", unit="dB", live=True)
    names: tuple[str, ...] = setting(("a",), "names")
    low: Band = setting(Band, "low band")


class Example(Node):
    """Shows what a page holds. The rest is detail.

    More words.
    """

    Settings = Settings
    PORTS = Ports(inputs=(ANY,), outputs=("out", "side"), events=("found",))


# -- nodes -------------------------------------------------------------------------------------------


def test_page_has_every_setting_with_default_unit_and_bounds() -> None:
    page = cli_nodes.pages({"example": Example})["example.md"]
    for row in (
        "| `path` | required | text |  | a file \\| or none |",
        "| `gain_db` | `none` | a number, dB | yes | level |",
        "| `names` | `[a]` | a list |  | names |",
        "| `low.cut_hz` | `80` | a number >= 20, Hz |  | where it begins |",
        "- in: any names, as the pipeline file gives them",
        "- out: out, side",
        "- events: found",
    ):
        assert row in page, row


def test_index_and_list_have_a_sentence_a_kind() -> None:
    assert "- [`example`](example.md): Shows what a page holds.\n" in cli_nodes.pages({"example": Example})["README.md"]


def test_committed_pages_are_current() -> None:
    there = {path.name: path.read_text("utf-8") for path in PAGES.glob("*.md")}
    assert there == cli_nodes.pages(kinds()), "run: audio-pipeline nodes --markdown docs/nodes"


def test_writing_pages_removes_those_of_kinds_that_are_gone(tmp_path: Path) -> None:
    (tmp_path / "old_kind.md").write_text("gone")
    (tmp_path / "picture.png").write_bytes(b"")
    cli_nodes.write_pages(tmp_path, {"example": Example})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "example.md", "picture.png"]


def test_nodes_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes"]) == 0
    listed = capsys.readouterr().out
    assert all(any(line.startswith(name) for line in listed.splitlines()) for name in kinds())
    assert main(["nodes", "mixer"]) == 0
    assert "Settings of each input" in capsys.readouterr().out


# -- devices and models ------------------------------------------------------------------------------


def test_devices_are_a_table_with_the_default_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "list_devices", lambda: [MICROPHONE])
    assert main(["devices"]) == 0
    assert "3  pulse   ALSA     2*   0   44100" in capsys.readouterr().out


def test_host_without_devices_is_sent_to_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(host, "list_devices", list)
    assert main(["devices"]) == 4
    assert "audio-pipeline doctor" in capsys.readouterr().err


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """An empty cache, and a fetch that only notes what it was asked for; demo-song cannot be had."""
    from audio_pipeline.models.weights import store

    asked: list[str] = []

    def fetch(name: str) -> Path:
        asked.append(name)
        if name == "demo-song":
            raise WeightsError("weights 'demo-song' could not be fetched")
        return tmp_path / name

    monkeypatch.setenv("AUDIO_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.delenv("AUDIO_PIPELINE_MODELS", raising=False)
    monkeypatch.setattr(store, "fetch", fetch)
    yield asked


def test_models_are_listed(no_weights: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "spleeter-2stems no MIT" in shown and "CC BY 3.0" in shown


def test_one_that_fails_does_not_keep_the_others(no_weights: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "demo-song", "silero-vad"]) == 5
    assert no_weights == ["demo-song", "silero-vad"]
    shown = capsys.readouterr()
    assert "silero-vad: " in shown.out and "could not be fetched" in shown.err


def test_without_names_what_bundled_pipelines_need_is_fetched_and_what_is_here_is_verified(
    no_weights: list[str],
) -> None:
    main(["models", "fetch"])
    assert set(no_weights) == {
        "spleeter-2stems",
        "spleeter-4stems",
        "deepfilternet",
        "silero-vad",
        "ge2e",
        "kokoro",
        "perth",
        "demo-song",
    }
    no_weights.clear()
    main(["models", "fetch", "--all"])
    assert "spleeter-5stems" in no_weights
    assert main(["models", "verify"]) == 0
    assert main(["models", "verify", "silero-vad"]) == 5
