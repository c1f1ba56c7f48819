"""Structured logs: one entry an event, secrets left out, a full disk survived; and what nodes printed."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.cli.observe import Printed
from audio_pipeline.control.events import IncidentEvent, LogEvent, NodeEvent
from audio_pipeline.control.incident import Incident, LinkFlow
from audio_pipeline.control.snapshots import NodeLedger
from audio_pipeline.errors import PipelineError
from audio_pipeline.observe.journal import SECRET, Journal, open_log

FILES = {"mix": "worker-1.log", "song": "", "rec": "gone.log"}
NOON = datetime(2026, 1, 2, 12, 0, 0, 250_000, tzinfo=timezone.utc)
TOKEN = "0123456789abcdef0123456789abcdef"
FLOW = LinkFlow("song.out", "split.in", 9, 8, {"stale": 1}, 0, 0, True)
DIED = IncidentEvent(
    time_s=31.8,
    message="split died (killed by signal 9), restarting",
    incident=Incident(31.8, "split", 77, 2, "killed by signal 9", (), ("a", "b"), (FLOW,)),
)


def note(**data: object) -> NodeEvent:
    return NodeEvent(time_s=1.0, kind="note", node="mix", position=480, data=data)


def journal(out: io.StringIO, form: str = "json") -> Journal:
    return Journal(out, form, pipeline="karaoke", run="karaoke-1-x", secrets=(TOKEN,), now=lambda: NOON)


def test_an_incident_is_an_object_on_a_line_with_all_that_is_known() -> None:
    out = io.StringIO()
    journal(out)(DIED)
    (line,) = out.getvalue().splitlines()
    entry = json.loads(line)
    assert list(entry)[:7] == ["time", "level", "pipeline", "run", "node", "event", "message"]
    assert entry["time"] == "2026-01-02T12:00:00.250Z" and entry["level"] == "error" and entry["event"] == "incident"
    assert (entry["node"], entry["pid"], entry["incarnation"], entry["cause"]) == ("split", 77, 2, "killed by signal 9")
    assert entry["ledger"][0]["offered"] == 9 and entry["log"] == ["a", "b"] and entry["time_s"] == 31.8


def test_text_is_one_line_too() -> None:
    out = io.StringIO()
    journal(out, "text")(replace(DIED, message="two\nlines"))
    (line,) = out.getvalue().splitlines()
    assert line.startswith("2026-01-02T12:00:00.250Z ERROR split incident: two lines time_s=31.8 pid=77")


def test_events_of_nodes_are_entries_but_for_those_that_come_ten_times_a_second() -> None:
    out = io.StringIO()
    write = journal(out)
    write(replace(note(peak_db=-3.0), kind="level"))
    write(replace(note(media_id="a.mp3"), kind="media", node="song"))
    write(LogEvent(time_s=2.0, message="mix is back", event="back", node="mix", level="warning"))
    media, back = map(json.loads, out.getvalue().splitlines())
    assert (media["event"], media["node"], media["position"], media["level"]) == ("media", "song", 480, "info")
    assert (back["event"], back["level"]) == ("back", "warning")


values = st.recursive(st.none() | st.text() | st.binary() | st.floats(), st.lists)


@given(st.dictionaries(st.text(st.characters()), values, max_size=5))
def test_any_event_is_one_line_of_json(event: dict[str, object]) -> None:
    out = io.StringIO()
    journal(out)(replace(note(), data=event))
    lines = out.getvalue().split("\n")
    assert lines == [""] or (lines[1:] == [""] and json.loads(lines[0], parse_constant=pytest.fail))


@pytest.mark.parametrize("form", ["json", "text"])
def test_the_token_is_never_written(form: str) -> None:
    out = io.StringIO()
    journal(out, form)(note(message=f"said {TOKEN}!", deep={"list": [TOKEN]}))
    assert TOKEN not in out.getvalue() and out.getvalue().count(SECRET) == 2


def test_a_full_disk_ends_the_log_not_the_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    write = journal(Full())
    write(DIED)
    write(DIED)
    assert capsys.readouterr().err == "audio-pipeline: the log ends here: [Errno 28] No space left on device\n"


def test_a_log_is_appended_to_and_private(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for text in ("one\n", "two\n"):
        with open_log(path) as file:
            file.write(text)
    assert path.read_text() == "one\ntwo\n" and path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(PipelineError, match="--log-file .* cannot be written: Is a directory"):
        open_log(tmp_path)


def test_what_nodes_printed_is_shown_once_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = {name: NodeLedger("", file, {}, {}) for name, file in FILES.items()}
    (tmp_path / "worker-1.log").write_text("hello\nhalf a li")
    printed = Printed(tmp_path, prefix=True)
    printed.show(nodes, ["mix", "song", "rec", "unknown"])
    assert capsys.readouterr().out == "mix | hello\n"
    with (tmp_path / "worker-1.log").open("a") as file:
        file.write("ne\n")
    printed.show(nodes, ["mix"])
    printed.show(nodes, ["mix"])
    assert capsys.readouterr().out == "mix | half a line\n"


def test_a_name_in_the_state_leads_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "other").write_text("secret\n")
    Printed(tmp_path / "run", prefix=False).show({"mix": NodeLedger("", "../other", {}, {})}, ["mix"])
    assert capsys.readouterr().out == ""
