"""The terminal view: what it shows of a state, and what its keys ask of the pipeline."""

from __future__ import annotations

import io
import math
import os
import pty
import termios
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import ControlError
from audio_pipeline.view.faders import Target, fader_target
from audio_pipeline.view.keys import Commands, Keyboard, decode_keys
from audio_pipeline.view.lines import log_line, page
from audio_pipeline.view.text import FLOOR_DB, PeakHold, meter, width_of
from audio_pipeline.view.view import View, drawn, follow
from audio_pipeline.view.watch import PATIENCE_S
from tests.engine.states import FakeClient, fader, karaoke, screen


def text(state: dict[str, Any], size: tuple[int, int] = (110, 30), **words: str) -> list[str]:
    """The page as plain lines."""
    shown = screen(state)
    lines = page(shown, size, fader_target(shown), lambda name, peak_db: peak_db, **words)
    return ["".join(part for part, _ in line) for line in lines]


@given(rms=st.floats(-200, 20) | st.just(-math.inf), peak=st.floats(-200, 20), width=st.integers(1, 60))
def test_meter_fills_its_width_and_grows_with_the_level(rms: float, peak: float, width: int) -> None:
    line = meter(rms, peak, width)
    assert width_of(line) == width
    bar = "".join(part for part, _ in line)
    assert abs(bar.count("━") - width * min(max(1 - rms / FLOOR_DB, 0), 1)) <= 1


def test_held_peak_falls_twenty_db_in_1700_ms() -> None:
    hold = PeakHold()
    hold("mix", -6.0, 0.0)
    assert hold("mix", -math.inf, 1.7) == pytest.approx(-26.0)
    assert hold("mix", -10.0, 1.8) == -10.0


@given(width=st.integers(20, 200), height=st.integers(3, 70))
def test_page_fills_the_terminal_and_nothing_more(width: int, height: int) -> None:
    lines = text(karaoke(), (width, height))
    assert len(lines) <= height
    assert len(lines) == height or height < 4


def test_table_fits_80_columns() -> None:
    head, *rows = (line for line in text(karaoke(), (80, 30)) if line.startswith((" node", " song", " split", " mix")))
    assert max(map(len, [head, *rows])) <= 80
    assert "drops" in head and "age p99" in head


def test_page_shows_what_people_look_for() -> None:
    shown = "\n".join(text(karaoke(), message="vocals -3.0 dB", title="Slow Motion Dream"))
    for words in (
        "karaoke",
        "live",
        "Slow Motion Dream",
        "0:07",
        "loop",
        "vocals",
        "-3.0 dB",
        "mic muted",
        "436 ms",
        "no sound card",
        "killed by signal 9",
        "487 ms of 700",
        "quit",
    ):
        assert words in shown, words


def test_low_terminal_shows_a_row_a_node_and_a_high_one_a_row_a_port() -> None:
    assert not any("accompaniment  " in line for line in text(karaoke(), (110, 16))[5:])
    assert sum("accompaniment" in line for line in text(karaoke(), (110, 40))) >= 3


def test_monitor_path_has_its_devices_on_top_and_is_shown_when_there_is_a_microphone() -> None:
    state = karaoke()
    assert not any("mic › mix" in line for line in text(state))
    state["nodes"]["mic"]["state"] = "running"
    (line,) = [line for line in text(state) if "mic › mix › out" in line]
    assert line.index("mic ›") < line.index("song ›")
    assert "41 ms of 56" in line  # 25 ms, and for the loudspeaker its 21.3 ms and a frame


def test_what_a_seek_cancels_is_not_lost() -> None:
    state = karaoke()
    state["links"][0]["dropped"] = {"cancelled": 40}
    assert "| drops 2 |" in log_line(screen(state))


def test_unbalanced_ledger_is_marked() -> None:
    state = karaoke()
    state["links"][2]["balanced"] = False
    assert any("2!" in line for line in text(state))


def test_log_line_says_where_how_loud_how_late_and_what_was_lost() -> None:
    line = log_line(screen(karaoke()))
    assert line.startswith("83.3 s | dBFS song -3.1 split -6.4/-5.2")
    assert "mic absent" in line and "drops 2" in line and "restarts 1" in line and "age p99 452 ms" in line


def test_follow_ends_with_the_pipeline_and_tells_what_was_logged_once() -> None:
    answers = iter([False, False, True])
    out = io.StringIO()
    follow(FakeClient(), lambda seconds: next(answers), out, clock=lambda: 0.0)
    assert out.getvalue().count("drops 2") == 2
    assert out.getvalue().count("31.8 s | split died (killed by signal 9), restarting") == 1


def test_follow_of_a_pipeline_elsewhere_ends_with_it() -> None:
    client = FakeClient()
    client.stop()
    follow(client, lambda seconds: False, io.StringIO(), clock=lambda: 0.0)


def test_follow_has_patience_but_not_for_ever() -> None:
    now = iter(range(100))
    client = FakeClient()
    client.refuses = True
    out = io.StringIO()
    with pytest.raises(ControlError):
        follow(client, lambda seconds: False, out, clock=lambda: float(next(now)))
    assert 2 < next(now) < 20 and out.getvalue() == ""


def test_offline_time_is_that_of_the_song() -> None:
    state = {**karaoke(), "live": False, "progress": 0.5}
    assert log_line(screen(state)).startswith("5.5 s | ")


# -- keys --------------------------------------------------------------------------------------------


@given(st.text(max_size=40))
def test_any_bytes_decode_to_keys(sent: str) -> None:
    assert all(isinstance(key, str) and key for key in decode_keys(sent))


def pressed(*keys: str, client: FakeClient | None = None) -> tuple[FakeClient, str]:
    client = client or FakeClient()
    reply = Commands(client).press(keys, screen(client.current))
    return client, reply


def test_held_down_fader_keys_are_one_step() -> None:
    client, reply = pressed("up", "up", "up", "down")
    assert client.asked == [("set", "mix", "inputs.vocals.gain_db", -1.0)]
    assert reply == "vocals -1.0 dB, audible in 41 ms"


def test_fader_stops_at_its_ends() -> None:
    client, _ = pressed(*["up"] * 100)
    assert client.asked[-1][-1] == 12.0
    client, _ = pressed(*["down"] * 200, client=client)
    assert client.asked[-1][-1] == -60.0


def test_each_key_asks_for_its_command() -> None:
    client, _ = pressed("m", "s", "space", "n", "l", "right")
    assert client.asked == [
        ("seek", "song", {"seconds": pytest.approx(12.2)}),
        ("set", "mix", "inputs.vocals.mute", True),
        ("set", "mix", "inputs.vocals.solo", True),
        ("pause", "song", {}),
        ("next", "song", {}),
        ("loop", "song", {"on": False}),
    ]


def test_paused_song_is_played_and_seeking_stops_at_its_start() -> None:
    client = FakeClient()
    client.current["transport"]["song"]["playing"] = False
    client, _ = pressed("space", "left", "left", client=client)
    assert client.asked == [("seek", "song", {"seconds": 0.0}), ("play", "song", {})]


def test_keys_without_a_mixer_or_song_say_so() -> None:
    client = FakeClient()
    client.current["transport"] = {}
    client.current["nodes"]["mix"]["live"] = []
    assert pressed("up", client=client)[1] == "no fader here"
    assert pressed("right", client=client)[1] == "nothing to seek here"
    assert pressed("space", client=client) == (client, "")
    assert client.asked == []


def test_fader_without_a_voice_is_the_first() -> None:
    state = karaoke()
    state["nodes"]["mix"] |= {"settings": {"inputs": {"a": fader()}}, "live": ["gain_db", "inputs.a.gain_db"]}
    assert fader_target(screen(state)) == Target("mix", "a")


def test_refused_command_is_a_message() -> None:
    client = FakeClient()
    state = screen(client.current)
    client.refuses = True
    assert "does not answer" in Commands(client).press(["up"], state)


def test_view_waits_for_a_quiet_pipeline_then_gives_up() -> None:
    now = [0.0]
    client = FakeClient()
    view = View(client, clock=lambda: now[0])
    view.refresh()
    client.refuses = True
    now[0] = PATIENCE_S - 0.1
    view.refresh()
    assert any("does not answer" in part for line in view.lines((110, 30)) for part, _ in line)
    now[0] = PATIENCE_S + 0.1
    with pytest.raises(ControlError):
        view.refresh()


def test_a_run_waits_for_its_own_pipeline_as_long_as_it_takes() -> None:
    """No answer for minutes is a busy machine; that it ended, `run` knows without an answer."""
    now, client = [0.0], FakeClient()
    client.refuses = True
    waits = iter([False] * 100 + [True])

    def wait(seconds: float) -> bool:
        now[0] += 10.0
        return next(waits)

    assert follow(client, wait, io.StringIO(), lambda: now[0], patience_s=math.inf) == ""
    view = View(client, clock=lambda: now[0], patience_s=math.inf)
    now[0] += 3600
    view.refresh()
    with pytest.raises(ControlError):
        follow(client, lambda seconds: now.__setitem__(0, now[0] + 10.0) or False, io.StringIO(), lambda: now[0])


def test_a_closed_terminal_is_no_key() -> None:
    reads, writes = os.pipe()
    os.close(writes)
    keyboard = Keyboard(reads)
    with pytest.raises(EOFError):
        keyboard.read(1.0)
    os.close(reads)


def test_view_draws_presses_and_quits() -> None:
    from rich.console import Console

    view = View(FakeClient(), title=lambda state: "Slow Motion Dream")
    view.refresh()
    assert view.press(["up"])
    out = io.StringIO()
    Console(file=out, width=110, height=30, force_terminal=True).print(drawn(view.lines((110, 30))))
    assert "Slow Motion Dream" in out.getvalue() and "audible in 41 ms" in out.getvalue()
    assert not view.press(["q"])


def test_terminal_is_put_back_after_an_error_and_keys_come_without_enter() -> None:
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        with pytest.raises(RuntimeError), Keyboard(slave) as keyboard:
            assert not termios.tcgetattr(slave)[3] & termios.ICANON
            os.write(master, b"\x1b[Cm")
            assert keyboard.read(1.0) == ["right", "m"]
            assert keyboard.read(0.0) == []
            raise RuntimeError
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)
