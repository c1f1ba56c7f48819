"""The report: pictures that show what is in the sound, a page that holds together, and hostile names."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import soundfile

from audio_pipeline.dsp import limits
from audio_pipeline.errors import MediaError
from audio_pipeline.files.sidecar import TrackInfo, text_of
from audio_pipeline.report.document import credit, write_report
from audio_pipeline.report.gallery import gallery
from audio_pipeline.report.sound import BANDS, Picture, colour_stops, colours, mel_share, picture, png, time_ticks
from audio_pipeline.run.folder import tracks_in
from tests.engine.states import full, karaoke
from tests.shared import ROOT

RATE = 16_000


def write(path: Path, sound: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, sound, rate, subtype="FLOAT")
    return path


def tone(frequency_hz: float, seconds: float, amplitude: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    return np.stack([amplitude * np.sin(2 * np.pi * frequency_hz * t)] * 2, axis=1).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.5, 30.0])
def test_tone_is_one_bright_band_at_its_frequency_and_level(tmp_path: Path, seconds: float) -> None:
    shown = picture(write(tmp_path / "tone.wav", tone(1000, seconds)), columns=50)
    brightest = shown.bands_db.argmax(axis=0)
    assert shown.bands_db.shape == (BANDS, 50)
    assert np.all(np.abs(brightest[1:-1] / BANDS - mel_share(1000, RATE)) < 2 / BANDS)
    assert shown.bands_db[:, 1:-1].max() == pytest.approx(
        -6.0, abs=1.5
    )  # the triangle of a mel band costs up to 1.5 dB
    assert shown.peak_db == pytest.approx(-6.02, abs=0.01)
    assert shown.rms_db == pytest.approx(-9.03, abs=0.05)


def test_columns_keep_every_peak_however_long_the_take(tmp_path: Path) -> None:
    sound = np.zeros((200_003, 1), np.float32)
    sound[123_456] = 0.9
    sound[77_777] = -0.8
    shown = picture(write(tmp_path / "clicks.wav", sound), columns=100)
    assert shown.high.max() == pytest.approx(0.9) and shown.high.argmax() == 61
    assert shown.low.min() == pytest.approx(-0.8) and shown.low.argmin() == 38


@pytest.mark.parametrize("samples", [1, 17, 480])
def test_short_takes_have_a_picture(tmp_path: Path, samples: int) -> None:
    shown = picture(write(tmp_path / "short.wav", np.full((samples, 1), 0.25, np.float32)))
    assert len(shown.low) == samples
    assert np.isfinite(shown.bands_db).all()


def test_values_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    sound = tone(500, 0.2)
    sound[100:110] = np.nan
    shown = picture(write(tmp_path / "nan.wav", sound))
    assert np.isfinite(shown.bands_db).all() and np.isfinite(shown.rms).all()


def test_png_is_as_large_as_the_bands_and_loud_is_bright(tmp_path: Path) -> None:
    from PIL import Image

    bands_db = np.full((BANDS, 10), -100.0, np.float32)
    bands_db[0] = 0.0
    image = Image.open(io.BytesIO(base64.b64decode(png(bands_db, 0.0).partition(",")[2]))).convert("L")
    assert image.size == (10, BANDS)
    assert image.getpixel((5, BANDS - 1)) > 200 > 20 > image.getpixel((5, 0))


@pytest.mark.parametrize("seconds", [0.05, 0.7, 11, 59, 3600, 100_000])
def test_time_has_two_to_eight_marks(seconds: float) -> None:
    ticks = time_ticks(seconds)
    assert ticks[0] == 0 and ticks[-1] <= seconds + 1e-9
    assert 1 <= len(ticks) <= 8


class Page(HTMLParser):
    """Counts tags that do not close and collects attributes."""

    VOID = ("meta", "img", "br", "hr", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def take(tmp_path: Path) -> Path:
    for name in ("accompaniment", "mix", "vocals"):
        write(tmp_path / f"{name}.wav", tone(440, 0.3))
    return tmp_path


def report(folder: Path, state: dict) -> tuple[str, Page]:
    text = write_report(folder, full(state), tracks_in(folder)).read_text("utf-8")
    return text, Page(text)


def test_page_is_whole_and_needs_nothing_but_the_sound_files_beside_it(take: Path) -> None:
    text, page = report(take, karaoke())
    assert page.open == []
    assert [source for source in page.sources if not source.startswith("data:")] == [
        "mix.wav",
        "vocals.wav",
        "accompaniment.wav",
    ]
    assert not re.search(r"https?://|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_the_page_shows_what_happened(take: Path) -> None:
    _, page = report(take, karaoke())
    for words in (
        "karaoke",
        "Steven M Bryant",
        "CC BY 3.0",
        "487 ms",
        "2 stale",
        "✓",
        "killed by signal 9",
        "READY after 620 ms",
        "inputs.vocals.gain_db",
        "no sound card",
        "time, s",
        "frequency, kHz",
    ):
        assert words in page.words, words


def test_names_from_outside_cannot_write_html(take: Path) -> None:
    state = karaoke()
    state["name"] = state["incidents"][0]["cause"] = "<script>alert(1)</script>"
    state["incidents"][0]["log"] = ["</pre><b>"]
    text, page = report(take, state)
    assert text.count("<script>") == 1 and page.open == []


def test_pictures_keep_to_the_limits_of_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rate beyond them, and no more of a long track at once than they allow: it looks the same in smaller bites."""
    with pytest.raises(MediaError, match=r"fast\.wav: has a rate of 500000 Hz, expected 4000 to 384000 Hz"):
        picture(write(tmp_path / "fast.wav", np.zeros((10, 1), np.float32), 500_000))
    path = write(tmp_path / "tone.wav", tone(1000, 1.0))
    usual = picture(path, columns=40)
    monkeypatch.setattr(limits, "MOST_VALUES", 4_000)
    np.testing.assert_allclose(picture(path, columns=40).bands_db, usual.bands_db, atol=1e-3)


def test_broken_and_empty_tracks_are_named_and_the_rest_is_shown(take: Path) -> None:
    (take / "vocals.wav").write_bytes(b"RIFF no more")
    write(take / "mix.wav", np.zeros((0, 2), np.float32))
    with pytest.raises(MediaError, match="mix.wav holds no sound"):
        picture(take / "mix.wav")
    _, page = report(take, karaoke())
    assert "vocals.wav cannot be read" in page.words and "accompaniment" in page.words
    assert page.sources.count("accompaniment.wav") == 1


def test_a_disk_that_does_not_answer_costs_the_report_a_picture_and_nothing_else(take: Path) -> None:
    """What was drawn before is there; the rest is named, however long its file takes."""
    tracks = {path.name: path for path in tracks_in(take)}
    first, *others = tracks
    drawn, answers = picture(tracks[first]), threading.Event()

    def draw(path: Path) -> Picture:
        if path.name != first:
            answers.wait()
        return drawn

    shown = gallery(tracks, 2, draw=draw)
    answers.set()
    assert list(shown.pictures) == [first] and len(shown.failures) == len(others) >= 1
    assert all(name in sentence and "2 s" in sentence for name, sentence in zip(others, shown.failures, strict=True))


def test_a_fault_of_the_drawing_is_the_callers(take: Path) -> None:
    def draw(path: Path) -> Picture:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        gallery({"a.wav": take / "a.wav"}, draw=draw)


def test_a_full_disk_leaves_no_half_report(take: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    (take / "report.html").write_text("of an earlier run")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_report(take, full(karaoke()), tracks_in(take))
    assert (take / "report.html").read_text() == "of an earlier run"
    assert sorted(path.suffix for path in take.iterdir()) == [".html", ".wav", ".wav", ".wav"]


def test_run_without_links_paths_or_tracks_has_a_report(tmp_path: Path) -> None:
    state = karaoke()
    state |= {"links": [], "paths": [], "incidents": [], "transport": {}}
    text, page = report(tmp_path, state)
    assert page.open == [] and "Ledger</h2>" not in text


@pytest.mark.long
def test_a_thousand_utterances_make_no_page_of_a_hundred_megabytes(tmp_path: Path) -> None:
    """Each picture takes some 100 kB: the first 24 are drawn, the next 200 are links, the others are counted."""
    first = write(tmp_path / "0000.wav", tone(440, 0.2))
    paths = [first, *(tmp_path / f"{i:04}.wav" for i in range(1, 1_000))]
    for path in paths[1:]:
        path.hardlink_to(first)
    html = write_report(tmp_path, full(karaoke()), paths).read_text()
    assert html.count("data:image/png") == 24 and len(html) < 4_000_000
    assert "976 recordings without a picture" in html and 'href="0223.wav"' in html and "and 776 more" in html


def test_any_name_of_a_file_leads_to_that_file(tmp_path: Path) -> None:
    """Neither a scheme, nor a query, nor a fragment; bytes that are no UTF-8 as they are on the disk."""
    names = ["javascript:alert(1).wav", "a?b#c.wav", "50%41.wav", os.fsdecode(b"caf\xe9.wav"), 'x" onclick="y.wav']
    first = write(tmp_path / "0.wav", tone(440, 0.2))
    for name in names:
        (tmp_path / name).hardlink_to(first)
    for before in ([], [first] * 24):  # as pictures, and as links
        page = Page(
            write_report(tmp_path, full(karaoke()), [*before, *(tmp_path / name for name in names)]).read_text()
        )
        shown = [source for source in page.sources if not source.startswith("data:")]
        assert [os.fsdecode(unquote_to_bytes(source)) for source in shown[-len(names) :]] == names
        assert all(re.fullmatch(r"[\w./%~-]+", source) for source in shown)


def test_broken_ledger_is_red(take: Path) -> None:
    state = karaoke()
    state["links"][0]["balanced"] = False
    _, page = report(take, state)
    assert "does not balance" in page.words and "✗ does not add up" in page.words


def test_what_was_cut_at_full_scale_is_a_figure_of_its_own(take: Path) -> None:
    state = karaoke()
    _, page = report(take, state)
    assert "Cut at full scale" not in page.words
    state["nodes"]["mix"]["counters"] = {"clipped": 36_327}
    _, page = report(take, state)
    assert "Cut at full scale" in page.words and "values, mix" in page.words


def test_only_the_demo_song_is_credited() -> None:
    state = karaoke()
    assert "Slow Motion Dream" in credit(full(state))
    state["nodes"]["song"]["settings"]["path"] = "audio_example.mp3"
    assert credit(full(state)) == ""


def test_tracks_of_an_earlier_run_are_left_out(take: Path) -> None:
    assert [path.stem for path in tracks_in(take)] == ["mix", "vocals", "accompaniment"]
    info = TrackInfo("mix.wav", 48_000, 0, run="this", finished=True)
    unfinished = TrackInfo("vocals.wav", 48_000, 0, run="this")
    other = TrackInfo("accompaniment.wav", 48_000, 0, run="another", finished=True)
    (take / "take.json").write_text(text_of({"mix": info, "vocals": unfinished, "accompaniment": other}))
    (take / "segments.jsonl").write_text('{"run": "this", "file": "../x.wav"}\n{"run": "this", "file": "gone.wav"}\n{')
    assert tracks_in(take, "this") == [take / "mix.wav"]
    assert tracks_in(take, "") == []


def test_paths_show_what_was_measured_and_which_frame_was_the_oldest(take: Path) -> None:
    state = karaoke()
    worst = {
        "from": "mix.out",
        "to": "out.in",
        "seq": 8123,
        "position": 3_582_243,
        "epoch": 1,
        "time": 1.7e9,
        "age_ms": 512.0,
    }
    state["paths"][1].update(
        stated_ms=440.0, measured={"count": 9, "p50": 431.0, "p99": 470.0, "max": 512.0, "counts": [], "worst": worst}
    )
    _, page = report(take, state)
    assert page.open == []
    for words in (
        "median 431 ms",
        "99 % 470 ms",
        "max 512 ms",
        "frame 8123 of mix.out, position 3582243",
        "at its end: stated 440 ms",
    ):
        assert words in page.words, words


def test_the_colours_are_matplotlibs() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    reference = matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255
    assert np.abs(colours(256) - reference).max() < 2
    assert colour_stops(2) == "#000004,#fcfdbf"


def test_a_report_needs_no_package_that_compiles_or_wants_a_home(tmp_path: Path) -> None:
    """numba (of librosa) fails where it finds no place for its cache, matplotlib makes one where it may not."""
    code = (
        "import sys; from pathlib import Path; from audio_pipeline.report.document import write_report;"
        "from tests.engine.states import full, karaoke; import soundfile, numpy as np;"
        "track = Path(sys.argv[1]) / 'mix.wav'; soundfile.write(track, np.zeros((4410, 2)), 44100);"
        "write_report(track.parent, full(karaoke()), [track]);"
        "print(sorted({'librosa', 'numba', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
