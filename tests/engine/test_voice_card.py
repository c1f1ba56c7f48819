"""The card of a voice: as text, as a picture, as a page."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from audio_pipeline.models.voices.record import Consent, Likeness, Record
from audio_pipeline.report.voice_card import card, consent_text, reading, sample_text, scale
from audio_pipeline.report.voice_card_page import card_page
from audio_pipeline.report.voice_card_picture import card_picture
from tests.models.voice_drafts import draft

RATE = 16_000


def record(**changes: object) -> Record:
    return replace(draft("Ann").record, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.85, "two clips of one"),
        (0.849, "two clips of one"),
        (0.844, "recognis"),
        (0.598, "alike in kind"),
        (0.594, "two different"),
        (0.0, "two different"),
        (-0.2, "two different"),
    ],
)
def test_a_number_has_a_reading(value: float, said: str) -> None:
    assert said in reading(value)


def test_the_scale_has_its_letters_where_they_belong() -> None:
    line = scale(Likeness(0.75, None, 0.2, "x"))
    assert line.index("V") == 20 and line.index("N") == 0 and "C" not in line and len(line) == 41
    assert scale(Likeness(0.75, 0.75, 0.75, "x")).count("V") == 1, "the voice is what is seen where they meet"


def test_every_lack_of_the_sample_is_on_it_with_its_advice() -> None:
    sample = replace(draft().record.sample, snr_db=5.0, clipped_ms=100.0, bandwidth_hz=3_000.0)
    lines = list(card(record(sample=sample)))
    assert sum(line.startswith("✗") for line in lines) == 3
    assert sum("→" in line for line in lines) == 3


def test_a_searched_likeness_is_marked_as_one() -> None:
    made = draft().record.provenance
    for method, expected in (("quick", False), ("refined", True)):
        found = record(provenance=replace(made, method=method))
        assert any("recognisably alike" in line for line in card(found)) != expected
        assert any("which the search maximised" in line for line in card(found)) == expected
        assert ("which the search maximised" in card_page(found, b"")) == expected


def test_whose_consent_it_is() -> None:
    assert "as a typed statement: I, Ann, agree" in consent_text(record())
    assert consent_text(record(consent=None)).startswith("none: it is not used")
    proof = Consent("spoken", "Ann", "I", "2026-01-02T03:04:05+00:00", "s", "words", "p", 0.87)
    assert consent_text(record(consent=proof)) == "Ann, 2026-01-02, read aloud in that voice (likeness 0.87)"


@pytest.mark.parametrize("samples", [0, 100, 3 * RATE])
def test_the_picture_has_one_size_whatever_the_sample(samples: int) -> None:
    x = np.random.default_rng(0).standard_normal(samples).astype(np.float32) * 0.1
    image = Image.open(io.BytesIO(card_picture(record(), (x, RATE) if samples else None)))
    assert image.size == (1248, 910)
    assert len(image.convert("L").getcolors() or []) > 50, "something is drawn on it"


def test_the_picture_shows_where_the_sound_is() -> None:
    """A second of a tone at 1 kHz, a second of nothing: the left half is brighter where the tone is."""
    t = np.arange(2 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * 1000 * t) * (t < 1)).astype(np.float32)
    image = np.asarray(Image.open(io.BytesIO(card_picture(record(), (tone, RATE)))).convert("L"), np.float64)
    spectrum = image[150:420, 60:1220]
    left, right = spectrum[:, :560], spectrum[:, 620:]
    assert left.max() - right.max() > 100
    top_khz = RATE / 2000
    brightest = int(np.argmax(left.mean(axis=1)))
    assert (1 - (brightest + 150 - 123) / 317) * top_khz == pytest.approx(1.0, abs=0.3)


def test_the_page_has_all_of_the_card_and_needs_nothing_else() -> None:
    page = card_page(record(name='A<script>"&'), b"\x89PNG")
    assert "<script>" not in page and "A&lt;script&gt;&quot;&amp;" in page and "http" not in page
    assert "data:image/png;base64,iVBORw==" in page
    assert all(word in page for word in ("0.75", "0.87", "0.70", "af_heart", "I, Ann, agree"))


@pytest.mark.parametrize("separated", [True, False])
def test_a_card_notes_that_music_was_removed(separated: bool) -> None:
    known = record()
    assert ("music taken away" in sample_text(replace(known.sample, separated=separated))) is separated
