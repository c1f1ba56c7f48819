"""The card of an enrolled voice as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from html import escape
from importlib.resources import files

from audio_pipeline.models.voices.advice import FAIR, GOOD, POOR, REFUSED, findings
from audio_pipeline.models.voices.record import Record
from audio_pipeline.report.page import pairs, section, table
from audio_pipeline.report.voice_card import likeness_text, papers, traits_shown

STYLES = {GOOD: "good", FAIR: "warn", POOR: "bad", REFUSED: "bad"}
ABOUT = (
    "Likeness is the cosine of GE2E speaker embeddings, 0 to 1, of sentences that the fit has not seen. The ceiling is "
    "that of the sample's two halves. The nearest stock voice is what there was without a fit."
)


def card_page(record: Record, png: bytes) -> str:
    """The page; `png` is `voice_card_picture.card_picture`."""
    style = files("audio_pipeline.report").joinpath("report.css").read_text("utf-8")
    name = escape(record.name)
    picture = f'<img alt="{escape(_alt(record))}" style="width:100%;border-radius:10px" src="{_data_url(png)}">'
    parts = [
        _figures(record),
        section("Picture", picture, ABOUT),
        section("The sample", _sample(record)),
        section("The voice", table(("", "sample", "voice"), traits_shown(record.speaker, record.voice))),
        section("Consent and origin", f'<div class="card">{pairs(dict(papers(record)))}</div>'),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{style}</style></head>'
        f'<body><header><h1>{name}</h1><p class="lead">A made voice: its words were spoken by no person.</p></header>'
        f"{''.join(parts)}</body></html>\n"
    )


def _figures(record: Record) -> str:
    known = record.likeness
    shown = [
        ("Likeness", f"{known.voice:.2f}", likeness_text(record)),
        ("Ceiling", "–" if known.ceiling is None else f"{known.ceiling:.2f}", "the sample's two halves"),
        ("Nearest stock voice", f"{known.nearest:.2f}", known.nearest_voice),
        ("Pitch", f"{record.voice.pitch_hz:.0f} Hz", f"the sample's is {record.speaker.pitch_hz:.0f} Hz"),
        ("Sample", f"{record.sample.speech_s:.1f} s", "of speech"),
    ]
    cards = "".join(
        f'<div class="card"><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd>{escape(note)}</dd></div>'
        for name, value, note in shown
    )
    return f'<dl class="figures">{cards}</dl>'


def _sample(record: Record) -> str:
    rows = [
        (
            escape(found.what),
            f'<span class="{STYLES[found.level]}">{escape(found.measured)}</span>',
            escape(found.advice),
        )
        for found in findings(record.sample)
    ]
    return table(("", "what was found", "what to do"), rows, text_columns=3)


def _alt(record: Record) -> str:
    return f"Spectrogram of the sample; likeness {record.likeness.voice:.2f}; pitch of sample and voice"


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
