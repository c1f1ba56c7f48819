"""Consent: what counts as given, what is written down, and that a sentence proves one voice."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.models.voices import consent as voice_consent
from audio_pipeline.models.voices.consent import GIVEN, OWN, Proof, attested, new_sentence, spoken

NOW = "2026-02-03T04:05:06+00:00"


@pytest.mark.parametrize("template", [OWN, GIVEN])
@pytest.mark.parametrize("speaker", ["Zoë O'Neil", "María José", "李明"])
def test_the_statement_names_the_speaker(template: str, speaker: str) -> None:
    given = attested(template.format(speaker=speaker), "digest", NOW)
    assert (given.kind, given.speaker, given.sample_sha256, given.given) == ("attested", speaker, "digest", NOW)
    assert given.statement == template.format(speaker=speaker)


def test_case_spaces_and_the_full_stop_do_not_count() -> None:
    words = OWN.format(speaker="Ann").upper().replace("ANN", "Ann").replace(" ", "\n  ").rstrip(".")
    assert attested(words, "d", NOW).statement == OWN.format(speaker="Ann")


@pytest.mark.parametrize("text", ["", "yes", "I agree", OWN.format(speaker=""), OWN.format(speaker="x") + " not"])
def test_anything_else_is_no_consent(text: str) -> None:
    with pytest.raises(ConfigError, match="--consent: expected 'I, NAME, agree"):
        attested(text, "d", NOW)


@pytest.mark.parametrize("template", [OWN, GIVEN])
@pytest.mark.parametrize("speaker", ["NAME", "name"])
def test_the_place_of_the_name_is_no_name(template: str, speaker: str) -> None:
    with pytest.raises(ConfigError, match="put the speaker's name in the place of NAME"):
        attested(template.format(speaker=speaker), "digest", NOW)


def test_sentences_are_new_each_time() -> None:
    """A hundred of them: with 101 words taken five at a time two are equal once in 200,000 such tests or so."""
    sentences = {new_sentence() for _ in range(100)}
    assert len(sentences) == 100 and all(sentence.startswith("I agree that") for sentence in sentences)


def test_who_reads_it_in_the_voice_of_the_sample_agrees() -> None:
    given = spoken("Ann", Proof("I agree ...", "p", 0.81234), "s", NOW)
    assert (given.kind, given.sentence, given.proof_sha256, given.likeness) == ("spoken", "I agree ...", "p", 0.8123)


def test_another_voice_or_the_sample_itself_prove_nothing() -> None:
    with pytest.raises(ConfigError, match=r"not that of the sample: likeness 0.74, expected 0.75"):
        spoken("Ann", Proof("x", "p", 0.7449), "s", NOW)
    with pytest.raises(ConfigError, match="the proof is the sample itself"):
        spoken("Ann", Proof("x", "s", 1.0), "s", NOW)
    with pytest.raises(ConfigError, match="or holds a part of it"):
        spoken("Ann", Proof("x", "p", 1.0, copied=True), "s", NOW)


def test_a_sentence_is_kept_until_it_is_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no sentence was issued"):
        voice_consent.kept_sentence(tmp_path)
    sentence = voice_consent.keep_sentence(tmp_path)
    assert voice_consent.kept_sentence(tmp_path) == sentence
    with pytest.raises(ConfigError, match="another sentence was issued meanwhile"):
        voice_consent.use_sentence(tmp_path, "an older one")
    voice_consent.use_sentence(tmp_path, sentence)
    with pytest.raises(ConfigError, match="no sentence was issued"):
        voice_consent.use_sentence(tmp_path, sentence)  # by whoever comes second
    with pytest.raises(ConfigError, match="no sentence was issued"):
        voice_consent.kept_sentence(tmp_path)


def test_the_digest_of_one_file_is_its_own() -> None:
    assert voice_consent.digest_of([b"abc"])[:8] == "ba7816bf"  # FIPS 180-4, example 1
    assert voice_consent.digest_of([b"a", b"bc"]) == voice_consent.digest_of([b"abc"])
