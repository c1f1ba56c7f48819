"""The sentences of which scenarios are made; README.md lists them for people who do not program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_bdd import given, parsers, then, when

from audio_pipeline.cpu import cores
from audio_pipeline.errors import ControlError
from audio_pipeline.models.voices.enrolled import Library
from tests.proofs.test_faults import CROWDED_MS
from tests.scenarios import conversion, ending, listen, offline, speech, telling, voices
from tests.scenarios.conversion import Reading
from tests.scenarios.ending import Command
from tests.scenarios.offline import Job
from tests.scenarios.speech import Talk
from tests.scenarios.stage import PLACES, RATE, SOON_MS, Show, Stage
from tests.scenarios.telling import Teller
from tests.scenarios.voices import AGREED, Voice

SAME_DB = 1.0  # what "as loud as before" means
SURE = 0.8  # correlation from which on a place in a song is certain; other places reach 0.6

OWN_MISSES_MS = 20  # what twice as much work as a machine can do makes it miss by itself, a part dying or not


@pytest.fixture(scope="package", autouse=True)
def runtime() -> Iterator[None]:
    """Sockets in a folder of their own, apart from pipelines that somebody runs meanwhile."""
    with tempfile.TemporaryDirectory(prefix="ap-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", folder)  # short: socket paths hold 107 characters
        yield


@pytest.fixture(scope="package")
def stage(runtime: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Where the live pipelines play, one after the other."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    yield stage
    stage.close()


@pytest.fixture
def refusal() -> list[str]:
    """What the pipeline said when it refused something."""
    return []


# -- a pipeline that plays ---------------------------------------------------------------------------


@given(parsers.parse("the {config:w} pipeline plays the demo song"), target_fixture="show")
def _(stage: Stage, config: str) -> Show:
    return stage.play(config)


@given(parsers.parse("the {config:w} pipeline plays the demo song and then another song"), target_fixture="show")
def _(stage: Stage, config: str) -> Show:
    return stage.play_two(config)


@given(parsers.parse("the {track:w} level is {db:g} dB"))
def _(show: Show, track: str, db: float) -> None:
    show.set(f"inputs.{PLACES[track]}.gain_db", db)
    show.pipeline.play(1.5)


@when(parsers.parse("the {track:w} level is set to {db:g} dB"))
def _(show: Show, track: str, db: float) -> None:
    show.set(f"inputs.{PLACES[track]}.gain_db", db)


@when(parsers.parse("somebody tries to set the {track:w} level to {db:g} dB"))
def _(show: Show, refusal: list[str], track: str, db: float) -> None:
    with pytest.raises(ControlError) as refused:
        show.set(f"inputs.{PLACES[track]}.gain_db", db)
    refusal.append(str(refused.value))


@then(parsers.parse('this is refused with "{reason}"'))
def _(refusal: list[str], reason: str) -> None:
    assert reason in refusal[-1]


@when(parsers.re(r"the (?P<track>\w+) is (?P<un>un)?muted"))
def _(show: Show, track: str, un: str | None) -> None:
    show.set(f"inputs.{PLACES[track]}.mute", not un)


@when(parsers.parse("the {track:w} is played solo"))
def _(show: Show, track: str) -> None:
    show.set(f"inputs.{PLACES[track]}.solo", True)


@when("the song is paused")
def _(show: Show) -> None:
    show.transport("pause")


@when("the song goes on")
def _(show: Show) -> None:
    show.transport("play")


@when("the next song is chosen")
def _(show: Show) -> None:
    show.transport("next")


@when(parsers.parse("the song is moved to second {seconds:g}"))
def _(show: Show, seconds: float) -> None:
    show.transport("seek", seconds=seconds)


@when(parsers.parse("the loop is switched {on:w}"))
def _(show: Show, on: str) -> None:
    show.transport("loop", on={"on": True, "off": False}[on])


@when(parsers.parse("{seconds:g} seconds pass"))
def _(show: Show, seconds: float) -> None:
    show.pipeline.play(seconds)


@when(parsers.re(r"the (?P<part>separator|mixer|recorder|loudspeaker|song's reader) is killed"))
def _(show: Show, part: str) -> None:
    show.kill(PLACES[part])


# -- what is heard --------------------------------------------------------------------------------------


def _change_db(show: Show, track: str) -> float:
    return float(getattr(listen.shares_after(show), track) - getattr(listen.shares_before(show), track))


@then(parsers.parse("the {track:w} is at least {db:g} dB quieter"))
def _(show: Show, track: str, db: float) -> None:
    assert _change_db(show, track) <= -db


@then(parsers.parse("the {track:w} is {db:g} dB quieter"))
def _(show: Show, track: str, db: float) -> None:
    assert _change_db(show, track) == pytest.approx(-db, abs=SAME_DB)


@then(parsers.parse("the {track:w} changes by less than {db:g} dB"))
def _(show: Show, track: str, db: float) -> None:
    assert abs(_change_db(show, track)) < db


@then(parsers.parse("the {track:w} is as loud as before"))
def _(show: Show, track: str) -> None:
    assert abs(_change_db(show, track)) < SAME_DB


@then(parsers.parse("the {track:w} is silent"))
def _(show: Show, track: str) -> None:
    assert getattr(listen.shares_after(show), track) < listen.SILENT_DB


@then(parsers.parse("the {track:w} is heard"))
def _(show: Show, track: str) -> None:
    if track == "music":
        assert listen.is_audible(show, SOON_MS)
    else:
        assert getattr(listen.shares_after(show), track) == pytest.approx(0, abs=SAME_DB)


@then("the music is heard again")
def _(show: Show) -> None:
    assert all(place.certainty > SURE for place in listen.places(show, show.calm + RATE // 2))


@then(parsers.parse("there is silence within {ms:g} ms"))
def _(show: Show, ms: float) -> None:
    assert listen.was_audible(show) and listen.is_silent(show, ms)


@then(parsers.parse("the music is heard within {ms:g} ms"))
def _(show: Show, ms: float) -> None:
    assert listen.is_audible(show, ms)


@then("the song time stands still")
def _(show: Show) -> None:
    times = [show.media_s()]
    show.pipeline.play(0.5)
    times.append(show.media_s())
    (last,) = listen.places(show, show.mark - RATE // 10, 1)
    assert times[0] == times[1] == pytest.approx(last.seconds + 0.1, abs=0.1), "at what was heard last"


@then("the song goes on where it stopped")
def _(show: Show) -> None:
    (first,) = listen.places(show, show.audible_within(SOON_MS), 1)
    stopped_s = show.before["transport"]["song"]["media_s"]
    assert first.certainty > SURE
    assert stopped_s - 0.05 < first.seconds < stopped_s + SOON_MS / 1000 * show.stretch


@then(parsers.re(r"the (?P<other>other )?song is heard from second (?P<second>[\d.]+) on within (?P<ms>\d+) ms"))
def _(show: Show, other: str | None, second: str, ms: str) -> None:
    start, late_s = float(second), float(ms) / 1000 * show.stretch
    found = listen.places(show, show.audible_within(float(ms)), song=show.other if other else show.song)
    assert min(place.certainty for place in found) > SURE
    assert start <= found[0].seconds <= start + late_s
    went_by = [place.seconds - found[0].seconds for place in found]
    assert went_by == pytest.approx([number / 10 for number in range(len(found))], abs=0.005)


@then("nothing of the old place is heard any more")
def _(show: Show) -> None:
    assert listen.old_share_db(show, SOON_MS) < -26, "a twentieth is what two places of a song have in common anyway"


@then("the song has begun again")
def _(show: Show) -> None:
    elapsed_s = 0.9 + 2 * SOON_MS / 1000 * show.stretch  # the rest of the song, and some of the next round
    (place,) = listen.places(show, show.mark + round(elapsed_s * RATE), 1)
    started_s = show.media_at_mark + elapsed_s - show.song.seconds
    assert place.certainty > SURE and place.seconds == pytest.approx(started_s, abs=SOON_MS / 1000 * show.stretch)


@then(parsers.parse("the music was never silent for more than {ms:g} ms"))
def _(show: Show, ms: float) -> None:
    now = show.pipeline.state()["position"]
    assert listen.longest_silence_ms(show, show.audible_within(SOON_MS), now - RATE // 10) <= ms * show.stretch


@then(parsers.parse("the loudspeaker misses at most {ms:g} ms of music"))
def _(show: Show, ms: float) -> None:
    crowded = CROWDED_MS if "split" in show.killed and cores() <= 2 else 0
    assert show.missed_ms(watch_s=2.0) <= (max(ms, crowded) + OWN_MISSES_MS) * show.stretch - OWN_MISSES_MS


@then(parsers.parse("it is said that the {part} is left out"))
def _(show: Show, part: str) -> None:
    name = PLACES[part]
    assert any(line.startswith(f"{name} is left out: ") for line in show.pipeline.state()["log"])


# -- recordings and the end -------------------------------------------------------------------------------


@then("nothing is missing in the recording")
def _(show: Show) -> None:
    assert listen.longest_silence_ms(show, show.mark - RATE // 2, show.calm + RATE) <= 10


@then("the recording can be opened")
def _(show: Show) -> None:
    ending.check_opens(show.folder, show.calm)


@when("the pipeline is ended")
def _(show: Show) -> None:
    show.pipeline.finish()


@then(parsers.parse("the pipeline ends by itself within {seconds:g} seconds"))
def _(show: Show, seconds: float) -> None:
    assert show.pipeline.supervisor.wait(seconds)


@then("it ended without an error")
def _(show: Show) -> None:
    assert show.pipeline.supervisor.exit_code == 0 and show.pipeline.supervisor.error is None


@then("the recordings are equally long")
def _(show: Show) -> None:
    ending.check_equally_long(show.folder)


@then("nothing of it is left")
def _(show: Show) -> None:
    assert not show.left()


@given(parsers.parse("somebody runs the {config:w} pipeline on the command line"), target_fixture="show")
def _(tmp_path: Path, config: str) -> Iterator[Command]:
    with ending.started(config, tmp_path / "take") as command:
        yield command


@when("Ctrl-C is pressed")
def _(show: Command) -> None:
    show.interrupt()


@when("the program is killed")
def _(show: Command) -> None:
    show.kill_program()


@then(parsers.parse("the command ends within {seconds:g} seconds with exit code {code:d}"))
def _(show: Command, seconds: float, code: int) -> None:
    assert show.ended(seconds) == code


@then(parsers.parse("no process of it is left after {seconds:g} seconds"))
def _(show: Command, seconds: float) -> None:
    assert show.processes_after(seconds) == []


# -- offline ------------------------------------------------------------------------------------------------


@given(parsers.parse("a song of {seconds:g} seconds"), target_fixture="job")
def _(tmp_path: Path, seconds: float) -> Job:
    return offline.job(tmp_path, seconds)


@when(parsers.re(r"the stems pipeline splits it offline(?P<again> once more)?"))
def _(job: Job, again: str | None) -> None:
    job.run("stems", ["nodes.split.residual=true"])


@when(parsers.parse("the karaoke pipeline plays it offline, the {track:w} level at {db:g} dB from second {at:g} on"))
def _(job: Job, track: str, db: float, at: float) -> None:
    job.run("karaoke", ["nodes.song.loop=false"], [f"{at:g}s:mix.inputs.{PLACES[track]}.gain_db={db:g}"])


@then(parsers.parse("there are the files {first} and {second} as long as the song"))
def _(job: Job, first: str, second: str) -> None:
    assert [len(job.track(name)) for name in (first, second)] == [len(job.song)] * 2


@then("together they are the song again")
def _(job: Job) -> None:
    assert offline.rest_db(job.song, job.track("vocals.wav") + job.track("accompaniment.wav")) < -120


@then("the files are the same bit by bit")
def _(job: Job) -> None:
    assert job.files(-1) == job.files(-2)


@then(parsers.parse("the mix is voice plus band until second {at:g}"))
def _(job: Job, at: float) -> None:
    assert offline.first_difference_s(job) == pytest.approx(at, abs=0.02)


@then(parsers.parse("the {track:w} is {db:g} dB quieter from second {at:g} on"))
def _(job: Job, track: str, db: float, at: float) -> None:
    assert offline.share_db(job, track, at + 0.02) == pytest.approx(-db, abs=SAME_DB)


# -- speech -------------------------------------------------------------------------------------------------


@given("a recording of two people who speak after one another", target_fixture="talk")
def _(tmp_path: Path) -> Talk:
    return speech.talk(tmp_path)


@when(parsers.parse("the {config:w} pipeline listens to it"))
def _(talk: Talk, config: str) -> None:
    talk.listen(config)


@then("speech is found where somebody speaks and nowhere else")
def _(talk: Talk) -> None:
    assert talk.found_share() > 0.9 and talk.false_s() < 0.3


@then(parsers.parse("every utterance is a file of its own, to {ms:g} ms as long as the log says"))
def _(talk: Talk, ms: float) -> None:
    assert talk.logged_s() and talk.file_s() == pytest.approx(talk.logged_s(), abs=ms / 1000)


# -- voices -------------------------------------------------------------------------------------------------


@given(parsers.re(r"a recording of reader (?P<first>\d+)(?: and then reader (?P<second>\d+))?"), target_fixture="voice")
def _(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str | None) -> Voice:
    voices.begin(tmp_path, monkeypatch)
    return voices.of_readers(tmp_path, first, *([second] if second else []))


@given("a recording of silence", target_fixture="voice")
def _(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voice:
    voices.begin(tmp_path, monkeypatch)
    return voices.of_silence(tmp_path)


@given(parsers.parse("a recording of song {number:d}"), target_fixture="voice")
def _(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> Voice:
    voices.begin(tmp_path, monkeypatch)
    return voices.of_song(tmp_path, str(number))


@when("a voice is made of it with the reader's consent")
def _(voice: Voice) -> None:
    voice.enrol(*AGREED)
    assert voice.code == 0, voice.output


@when("somebody tries to make a voice of it")
def _(voice: Voice) -> None:
    voice.enrol(*AGREED)


@when("somebody tries to make a voice of it without consent")
def _(voice: Voice) -> None:
    voice.enrol()


@when(parsers.parse("somebody tries to prove the consent with a recording of reader {reader:d}"))
def _(voice: Voice, reader: int) -> None:
    voice.run("voices", "sentence")
    voice.enrol("--proof", voices.clips(str(reader))[0])


@when(parsers.parse('the voice says "{text}"'))
def _(voice: Voice, text: str) -> None:
    voice.speak(text)


@when("the voice is exported, deleted and imported again")
def _(voice: Voice) -> None:
    voice.move()


@then(parsers.parse("what is heard is more like the reader than like reader {reader:d}"))
def _(voice: Voice, reader: int) -> None:
    assert voice.reader
    assert voice.likeness(voice.reader) > voice.likeness(voices.clips(str(reader))[0])


@then("what is heard carries the mark of made speech")
def _(voice: Voice) -> None:
    voice.run("detect", voice.speech)
    assert voice.code == 0, voice.output


@then(parsers.parse('it is refused with "{text}"'))
def _(voice: Voice, text: str) -> None:
    assert voice.code != 0 and text in voice.output
    assert Library().names() == []


@then(parsers.parse('the card says "{text}"'))
def _(voice: Voice, text: str) -> None:
    assert text in voice.output


# -- a voice that is told what to say --------------------------------------------------------------------------


@given("a voice that waits for words", target_fixture="teller")
def _(tmp_path: Path) -> Iterator[Teller]:
    with telling.telling(tmp_path) as teller:
        yield teller


@when(parsers.parse('somebody writes "{text}" and ends'))
def _(teller: Teller, text: str) -> None:
    teller.write(text, end=True)


@when(parsers.parse('somebody writes "{text}"'))
def _(teller: Teller, text: str) -> None:
    teller.write(text)


@when("the voice has begun")
def _(teller: Teller) -> None:
    teller.until("word")


@when("the voice is stopped")
def _(teller: Teller) -> None:
    teller.cancel()


@then("no more is said")
def _(teller: Teller) -> None:
    teller.until("cancelled")
    teller.pipeline.until("silence", lambda state: state["nodes"]["voice"]["levels_db"]["out"][0] < -100)


@then(parsers.parse('"{text}" is heard'))
def _(teller: Teller, text: str) -> None:
    while text not in teller.clauses():
        teller.until("clause", 1 + sum(event.kind == "clause" for event in teller.events))


@then("all of it was heard in order")
def _(teller: Teller) -> None:
    teller.until("done")
    assert teller.clauses() == "Well, hello there. Three of us went to the old mill."


@then("nothing of the old text is heard after the stop")
def _(teller: Teller) -> None:
    teller.until("done")
    kinds = [(event.kind, event.data.get("text")) for event in teller.events if event.node == "voice"]
    after = kinds[kinds.index(("cancelled", None)) + 1 :]
    assert [text for kind, text in after if kind == "word"] == ["Something", "new."]


@then(parsers.parse('the log says "{text}"'))
def _(teller: Teller, text: str) -> None:
    assert any(text in line for line in teller.pipeline.state()["log"])


# -- another voice ------------------------------------------------------------------------------------------


@given("a reading, and a sample of another reader", target_fixture="reading")
def _(tmp_path: Path) -> Reading:
    return conversion.reading(tmp_path)


@when(parsers.parse("the {config:w} pipeline converts it offline"))
def _(reading: Reading, config: str) -> None:
    reading.convert(config)


@then("the converted reading is as long as the one before")
def _(reading: Reading) -> None:
    assert reading.recording("converted")[0].shape == reading.recording("own")[0].shape


@then("it is more like the other reader than before")
def _(reading: Reading) -> None:
    assert reading.likeness("converted") > reading.likeness("own") + 0.05


@then("only the converted reading carries the watermark")
def _(reading: Reading) -> None:
    assert reading.mark("converted") > 0.9 and reading.mark("own") < 0.3
