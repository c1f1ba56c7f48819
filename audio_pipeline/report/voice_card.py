"""The card of an enrolled voice as text: how alike it is, how good its sample was, and whose consent it has."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from audio_pipeline.models.voices.advice import FAIR, GOOD, POOR, REFUSED, Finding, findings
from audio_pipeline.models.voices.record import Likeness, Record, Sample, Traits

READINGS = (  # of GE2E on real voices: docs/models/ge2e.md
    (0.85, "as alike as two clips of one person"),
    (0.75, "recognisably alike"),
    (0.60, "alike in kind: same sex, similar age"),
    (0.0, "two different people"),
)
MARKS = {GOOD: "✓", FAIR: "·", POOR: "✗", REFUSED: "✗"}
SCALE, SCALE_FROM = 40, 0.5  # characters, and where the scale begins
HEAD, WIDTH = 11, 100  # characters of the first column, and of a line of text
REFINED, CLIMBED = "refined", "by GE2E, which the search maximised: judge by listening"
NO_CONSENT = "none: it is not used unless this host's policy allows that"


def reading(value: float) -> str:
    """Of the number as it is shown, with two digits.

    >>> reading(0.78)
    'recognisably alike'
    """
    return next((text for least, text in READINGS if float(f"{value:.2f}") >= least), READINGS[-1][1])


def card(record: Record) -> Iterator[str]:
    """The lines of a card."""
    yield record.name
    yield ""
    yield from _likeness(record)
    yield ""
    yield f"  {'':{HEAD}} {'sample':18} voice"
    for name, of_sample, of_voice in traits_shown(record.speaker, record.voice):
        yield f"  {name:{HEAD}} {of_sample:18} {of_voice}"
    yield ""
    yield from finding_lines(findings(record.sample))
    yield ""
    for name, text in papers(record):
        yield from wrap(text, WIDTH, initial_indent=f"  {name:{HEAD}} ", subsequent_indent=" " * (HEAD + 3))


def finding_lines(found: list[Finding]) -> Iterator[str]:
    """What was found about a sample, and the remedy below each lack."""
    for finding in found:
        yield f"{MARKS[finding.level]} {finding.what:{HEAD}} {finding.measured}"
        if finding.advice:
            yield f"  {'':{HEAD}} → {finding.advice}"


def likeness_text(record: Record) -> str:
    """What the likeness of a voice means; less where a search climbed it than of a recording."""
    return CLIMBED if record.provenance.method == REFINED else reading(record.likeness.voice)


def _likeness(record: Record) -> Iterator[str]:
    known = record.likeness
    rows = [
        ("likeness", known.voice, likeness_text(record)),
        ("nearest", known.nearest, f"the stock voice {known.nearest_voice}"),
    ]
    if known.ceiling is not None:
        rows.append(("ceiling", known.ceiling, "of the sample's two halves to one another"))
    for name, value, text in rows:
        yield f"  {name:{HEAD}} {value:.2f}  {text}"
    yield f"  {'':{HEAD}} {scale(known)}"
    yield f"  {'':{HEAD}} {SCALE_FROM:<{SCALE // 2}g}{(1 + SCALE_FROM) / 2:<{SCALE - SCALE // 2}g}1"


def scale(known: Likeness) -> str:
    """V the voice, N the nearest stock voice, C the ceiling, on a line from 0.5 to 1.

    >>> scale(Likeness(0.75, 0.9, 0.5, "x"))
    'N───────────────────V───────────C────────'
    """
    line = ["─"] * (SCALE + 1)
    for letter, value in (("C", known.ceiling), ("N", known.nearest), ("V", known.voice)):
        if value is not None:
            line[round(min(max((value - SCALE_FROM) / (1 - SCALE_FROM), 0), 1) * SCALE)] = letter
    return "".join(line)


def sample_text(sample: Sample) -> str:
    """How good a sample is, in one line."""
    found = {finding.what: finding.measured for finding in findings(sample)}
    without = " (music taken away)" if sample.separated else ""
    return ", ".join(found[what] for what in ("length", "noise", "bandwidth")) + without


def traits_shown(speaker: Traits, voice: Traits) -> list[tuple[str, str, str]]:
    """Name, the sample's and the voice's, as text."""
    first, second = (
        (f"{one.pitch_hz:.0f} Hz", f"±{one.pitch_spread_st:.1f} semitones", f"{one.syllables_per_s:.1f} syllables/s")
        for one in (speaker, voice)
    )
    return list(zip(("pitch", "melody", "pace"), first, second, strict=True))


def papers(record: Record) -> list[tuple[str, str]]:
    """Consent, and how the voice came about."""
    made = record.provenance
    shown = [
        ("consent", consent_text(record)),
        ("made", f"{record.created[:10]}, {made.method} fit in {made.seconds:.0f} s by {made.software}"),
        ("sample", f"SHA-256 {record.sample.sha256[:16]}..., {record.sample.rate} Hz"),
    ]
    return [*shown, ("imported", made.imported[:10])] if made.imported else shown


def consent_text(record: Record) -> str:
    """Who agreed, when, and how that is known."""
    given = record.consent
    if given is None:
        return NO_CONSENT
    if given.kind == "spoken":
        return f"{given.speaker}, {given.given[:10]}, read aloud in that voice (likeness {given.likeness:.2f})"
    return f"{given.speaker}, {given.given[:10]}, as a typed statement: {given.statement}"
