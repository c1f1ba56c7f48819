from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import ConfigError
from audio_pipeline.places import Places
from audio_pipeline.setting_values import live_names, plain
from audio_pipeline.settings import LARGEST, build, replaced, setting


@dataclass(frozen=True)
class Fader:
    gain_db: float = setting(0.0, "level", unit="dB", minimum=-60, maximum=24, live=True)
    name: str = setting("", "label")


@dataclass(frozen=True)
class Everything:
    path: str = setting(doc="a file", file=True)
    count: int = setting(1, "how many", minimum=1, live=True)
    level_db: float = setting(-math.inf, "level", maximum=0)
    limit_ms: float | None = setting(None, "none for never", minimum=0)
    mode: str = setting("low", "how", choices=("low", "high"), live=True)
    on: bool = setting(False, "whether")
    bands: tuple[float, ...] = setting((), "edges", unit="Hz", minimum=0)
    names: dict[str, int] = setting(dict, "counts")
    fader: Fader = setting(Fader, "a fader")
    other: Any = field(default=None)


GOOD = {
    "path": "song.mp3",
    "count": 3,
    "level_db": -6,
    "limit_ms": 20,
    "mode": "high",
    "on": True,
    "bands": [1, 2.5],
    "names": {"a": 1},
    "fader": {"gain_db": 3},
    "other": ["x"],
}

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_every_type_is_built() -> None:
    made = build(Everything, GOOD)
    assert made == Everything("song.mp3", 3, -6.0, 20.0, "high", True, (1.0, 2.5), {"a": 1}, Fader(3.0), ["x"])
    assert isinstance(made.level_db, float) and isinstance(made.bands[0], float)


def test_plain_is_the_inverse_of_build() -> None:
    made = build(Everything, GOOD)
    assert build(Everything, plain(made)) == made


def test_defaults_that_can_change_are_not_shared() -> None:
    assert build(Everything, {"path": "a"}).names is not build(Everything, {"path": "b"}).names


def test_minus_infinity_is_a_level() -> None:
    assert build(Everything, {"path": "", "level_db": -math.inf}).level_db == -math.inf


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": "x"}, "n.count: expected a whole number >= 1, got 'x' (f.yaml:7)"),
        ({"count": 0}, "n.count: expected a whole number >= 1, got 0 (f.yaml:7)"),
        ({"count": 1.0}, "n.count: expected a whole number >= 1, got 1.0 (f.yaml:7)"),
        ({"count": True}, "n.count: expected a whole number >= 1, got True (f.yaml:7)"),
        ({"count": LARGEST}, f"n.count: expected a whole number >= 1, got {LARGEST} (f.yaml:7)"),
        ({"level_db": 3}, "n.level_db: expected a number <= 0, got 3 (f.yaml:3)"),
        ({"level_db": math.nan}, "n.level_db: expected a number <= 0, got nan (f.yaml:3)"),
        ({"level_db": 10**400}, f"n.level_db: expected a number <= 0, got {10**400} (f.yaml:3)"),
        ({"limit_ms": math.inf}, "n.limit_ms: expected a number >= 0, got inf (f.yaml:3)"),
        ({"limit_ms": -math.inf}, "n.limit_ms: expected a number >= 0, got -inf (f.yaml:3)"),
        ({"mode": "lo"}, "n.mode: expected one of low, high, got 'lo', did you mean 'low'? (f.yaml:3)"),
        ({"mode": ["low"]}, "n.mode: expected one of low, high, got ['low'], did you mean 'low'? (f.yaml:3)"),
        ({"on": "yes"}, "n.on: expected true or false, got 'yes' (f.yaml:3)"),
        ({"on": 1}, "n.on: expected true or false, got 1 (f.yaml:3)"),
        ({"bands": 5}, "n.bands: expected a list, got 5 (f.yaml:3)"),
        ({"bands": "12"}, "n.bands: expected a list, got '12' (f.yaml:3)"),
        ({"bands": [1, "b"]}, "n.bands.1: expected a number >= 0, got 'b' (f.yaml:3)"),
        ({"names": [1]}, "n.names: expected a map (name: value), got [1] (f.yaml:3)"),
        ({"names": {"a": None}}, "n.names.a: expected a whole number, got None (f.yaml:3)"),
        ({"fader": "loud"}, "n.fader: expected settings (key: value), got 'loud' (f.yaml:3)"),
        ({"fader": {"gain_db": 25}}, "n.fader.gain_db: expected a number >= -60 and <= 24, got 25 (f.yaml:9)"),
        (
            {"fader": {"gane_db": 2}},
            "n.fader.gane_db: unknown key, did you mean 'gain_db'?; known: gain_db, name (f.yaml:3)",
        ),
        ({"path": None}, "n.path: expected text, got None (f.yaml:3)"),
        (
            {"patth": "x"},
            "n.patth: unknown key, did you mean 'path'?; known: path, count, level_db, limit_ms, mode, on, "
            "bands, names, fader, other (f.yaml:3)",
        ),
    ],
)
def test_errors_name_key_value_expectation_and_place(change: dict[str, Any], said: str) -> None:
    places = Places("f.yaml", {("n",): 3, ("n", "count"): 7, ("n", "fader", "gain_db"): 9})
    with pytest.raises(ConfigError) as error:
        build(Everything, GOOD | change, ("n",), places)
    assert str(error.value) == said


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^n\.path: missing, expected text$"):
        build(Everything, {}, ("n",))


def test_settings_that_are_no_map_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^n: expected settings \(key: value\), got \[1\]$"):
        build(Everything, [1], ("n",))  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(sorted({*GOOD, "x"} - {"other"})), plain_values, max_size=5))
def test_any_values_are_settings_or_a_config_error(raw: dict[str, Any]) -> None:
    try:
        made = build(Everything, {"path": "p"} | raw)
    except ConfigError:
        return
    assert build(Everything, plain(made)) == made


@given(
    st.sampled_from(["count", "mode", "fader.gain_db", "fader", "fader.gain_db.x", "count.x", "x", "", "."]),
    plain_values,
)
def test_any_live_change_is_settings_or_a_config_error(name: str, value: Any) -> None:
    try:
        changed = replaced(build(Everything, GOOD), name, value)
    except ConfigError:
        return
    assert name in ("count", "mode", "fader.gain_db") and build(Everything, plain(changed)) == changed


def test_only_live_settings_change_and_only_they_are_listed() -> None:
    made = build(Everything, GOOD)
    assert live_names(made) == ["count", "mode", "fader.gain_db"]
    assert replaced(made, "fader.gain_db", -3).fader == Fader(-3.0)
    assert made.fader == Fader(3.0)
    with pytest.raises(ConfigError, match=r"^nodes\.a\.path: cannot be changed while the pipeline runs$"):
        replaced(made, "path", "x", ("nodes", "a"))


def test_inputs_change_by_name() -> None:
    inputs = {"mic": Fader(), "song": Fader()}
    assert live_names(inputs) == ["mic.gain_db", "song.gain_db"]
    assert replaced(inputs, "mic.gain_db", 2) == {"mic": Fader(2.0), "song": Fader()}


@dataclass(frozen=True)
class Levels:
    RENAMED: ClassVar = {"voice_db": "levels: {voice: dB}"}
    levels: dict[str, float] = setting(dict, maximum=24.0, live=True)
    most: int = setting(2)

    def __post_init__(self) -> None:
        if len(self.levels) > self.most:
            raise ConfigError(f"levels: expected at most {self.most}, got {len(self.levels)}")


def test_the_values_of_a_live_map_change_by_name() -> None:
    made = build(Levels, {"levels": {"voice": -6, "band": 0}})
    assert live_names(made) == ["levels.voice", "levels.band"]
    assert replaced(made, "levels.voice", 3) == Levels({"voice": 3.0, "band": 0.0})
    with pytest.raises(ConfigError, match=r"^nodes\.a\.levels\.voice: expected a number <= 24, got 30$"):
        replaced(made, "levels.voice", 30, ("nodes", "a"))
    with pytest.raises(ConfigError, match=r"^levels\.voic: unknown setting, did you mean 'voice'"):
        replaced(made, "levels.voic", 3)


def test_a_renamed_setting_is_answered_with_its_new_name() -> None:
    with pytest.raises(ConfigError, match=r"^nodes\.a\.voice_db: is now levels: \{voice: dB\}$"):
        build(Levels, {"voice_db": 3}, ("nodes", "a"))
    with pytest.raises(ConfigError, match=r"^voice_db: is now levels: \{voice: dB\}$"):
        replaced(Levels(), "voice_db", 3)


def test_settings_that_do_not_go_together_are_refused_at_their_place() -> None:
    places = Places("a.yaml", {("nodes", "a", "levels"): 7})
    with pytest.raises(ConfigError, match=r"^nodes\.a\.levels: expected at most 1, got 2 \(a\.yaml:7\)$"):
        build(Levels, {"most": 1, "levels": {"x": 1, "y": 2}}, ("nodes", "a"), places)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mik.gain_db", "mik: unknown setting, did you mean 'mic'?; known: mic"),
        ("mic.gain", "mic.gain: unknown setting, did you mean 'gain_db'?; known: gain_db, name"),
        ("mic.gain_db.x", "mic.gain_db: has no part 'x'"),
        ("mic.name", "mic.name: cannot be changed while the pipeline runs"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(name: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        replaced({"mic": Fader()}, name, 1)
    assert str(error.value) == said
