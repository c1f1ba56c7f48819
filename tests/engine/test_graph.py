from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.load import _with_sets, build_graph, find_config, load, loads
from audio_pipeline.graph.registry import kind_names, load_kind
from audio_pipeline.graph.types import Graph, Link
from audio_pipeline.graph.yamlfile import parse_yaml
from audio_pipeline.places import Places
from audio_pipeline.refs import PortRef
from tests.engine.graphs import KINDS, graph_of, text_of

GOOD = """
song: {kind: noise, seconds: 1}
late: {kind: delay, in: song}
mix:
  kind: sum
  inputs:
    wet: {from: late, on_loss: bypass, gain: 0.5}
    dry: {from: song, on_loss: silence}
out: {kind: speaker, in: {from: mix, on_loss: silence}}
rec: {kind: sink, inputs: {a: {from: mix, policy: block}}}
"""


def test_a_file_becomes_a_graph() -> None:
    graph = graph_of(GOOD, name="demo", frame_ms=5)
    assert (graph.name, graph.rate, graph.frame_samples) == ("demo", 48_000, 240)
    assert graph.nodes["mix"].inputs["wet"] == Link(PortRef("late", "out"), on_loss="bypass")
    assert graph.nodes["mix"].input_settings["wet"].gain == 0.5
    assert graph.nodes["rec"].inputs["a"].policy == "block"
    assert graph.order() == ["song", "late", "mix", "out", "rec"]
    assert graph.consumers("mix", "out") == [("out", "in"), ("rec", "a")]


def said(nodes: str, **top: object) -> str:
    """What is said to a graph that cannot be."""
    with pytest.raises(ConfigError) as error:
        graph_of(nodes, **top)
    return str(error.value)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ("a: {kind: noyse}", "nodes.a.kind: unknown node kind 'noyse', did you mean 'noise'?; known: "),
        ("a: {kind: null}", "nodes.a.kind: unknown node kind 'None'"),
        ("a: {}", "nodes.a: expected a map with 'kind', got {} (p.yaml:5)"),
        ("a: noise", "nodes.a: expected a map with 'kind', got 'noise' (p.yaml:5)"),
        (
            "a: {kind: noise, secs: 1}",
            "nodes.a.secs: unknown key, did you mean 'seconds'?; known: seconds, block, seed, level, ahead (p.yaml:5)",
        ),
        ("a: {kind: noise, in: b}", "nodes.a.in: noise has no input 'in'; known: none (p.yaml:5)"),
        ("a: {kind: noise, optional: maybe}", "nodes.a.optional: expected true or false, got 'maybe' (p.yaml:5)"),
        ("A: {kind: noise}", "nodes.A: a node's name is a lower-case letter, then letters, digits or _; got 'A'"),
        ("a.b: {kind: noise}", "nodes.a.b: a node's name is a lower-case letter"),
        ("a: {kind: noise}\na: {kind: noise}", "p.yaml:6: key 'nodes.a' stands twice"),
        ("a: {kind: delay}", "nodes.a: input 'in' is not connected (p.yaml:5)"),
        ("a: {kind: sum}", "nodes.a: sum needs at least one input (p.yaml:5)"),
        ("a: {kind: sum, inputs: {}}", "nodes.a: sum needs at least one input (p.yaml:5)"),
        (
            "a: {kind: delay, in: {policy: block}}",
            "nodes.a.in: expected 'node' or 'node.port', or a map with 'from', got {'policy': 'block'} (p.yaml:5)",
        ),
        ("a: {kind: delay, in: 3}", "nodes.a.in: expected 'node' or 'node.port'"),
        ("a: {kind: delay, in: x, inputs: {in: x}}", "nodes.a.in: give either 'in' (one input) or 'inputs' (a map)"),
        ("a: {kind: delay, inputs: [x]}", "nodes.a.inputs: expected a map (input: source), got ['x'] (p.yaml:5)"),
        ("a: {kind: sum, inputs: {X: b}}", "nodes.a.inputs.X: an input's name is a lower-case letter"),
        (
            "song: {kind: noise}\na:\n  kind: delay\n  in: sogn",
            "nodes.a.in: unknown node 'sogn', did you mean 'song'?; known: song, a (p.yaml:8)",
        ),
        (
            "song: {kind: noise}\na:\n  kind: sink\n  inputs:\n    x: song.outt",
            "nodes.a.inputs.x: node 'song' (noise) has no output 'outt', did you mean 'out'?; known: out, "
            "map (p.yaml:9)",
        ),
        (
            "song: {kind: noise}\na: {kind: delay, in: song.map}",
            "nodes.a.in: song.map carries events, but delay expects sound (p.yaml:6)",
        ),
        (
            "song: {kind: noise}\na: {kind: delay, inputs: {im: song}}",
            "nodes.a.inputs.im: delay has no input 'im'; known: in (p.yaml:6)",
        ),
        (
            "song: {kind: noise}\na: {kind: delay, in: {from: song, policy: blok}}",
            "nodes.a.in.policy: expected one of block, drop_oldest, drop_newest, latest, got 'blok', did "
            "you mean 'block'?",
        ),
        (
            "song: {kind: noise}\na: {kind: delay, in: {from: song, budget_ms: 0}}",
            "nodes.a.in.budget_ms: expected a number >= 1 and <= 600000, got 0 (p.yaml:6)",
        ),
        (
            "song: {kind: noise}\na: {kind: sum, inputs: {x: {from: song, gane: 1}}}",
            "nodes.a.inputs.x.gane: unknown key, did you mean 'gain'?; known: gain (p.yaml:6)",
        ),
        (
            "a: {kind: delay, in: b}\nb: {kind: delay, in: c}\nc: {kind: delay, in: b}",
            "nodes.b: cycle through b, c; a graph has no loops (p.yaml:6)",
        ),
        ("a: {kind: delay, in: a}", "nodes.a: cycle through a; a graph has no loops (p.yaml:5)"),
    ],
)
def test_bad_graphs_are_answered_with_one_sentence(nodes: str, words: str) -> None:
    assert said(nodes).startswith(words)
    assert "\n" not in said(nodes) and "p.yaml" in said(nodes)


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({"version": None}, "version: missing, expected 1"),
        ({"version": 2}, "version: expected one of 1, got 2 (p.yaml:1)"),
        ({"rate": "cd"}, "rate: expected a whole number >= 8000 and <= 192000, got 'cd' (p.yaml:2)"),
        ({"frame_ms": 0}, "frame_ms: expected a number >= 1 and <= 100, got 0 (p.yaml:4)"),
        ({"frames_ms": 5}, "frames_ms: unknown key, did you mean 'frame_ms'?"),
        ({"clock": "song"}, "clock: expected one of auto, host, got 'song' (p.yaml:4)"),
        ({"node_paths": "kinds"}, "node_paths: expected a list, got 'kinds' (p.yaml:3)"),
    ],
)
def test_bad_top_keys_are_answered_with_one_sentence(top: dict[str, object], words: str) -> None:
    assert said("song: {kind: noise}", **top).startswith(words)


@pytest.mark.parametrize("nodes", ["", "[]", "{}", "5"])
def test_a_file_needs_nodes(nodes: str) -> None:
    with pytest.raises(ConfigError, match=r"^nodes: expected a map of nodes, got .* \(p\.yaml:2\)$"):
        loads(f"version: 1\nnodes: {nodes}", "p.yaml")


# -- clocks ------------------------------------------------------------------------------------------


def test_two_clock_masters_are_an_error_that_names_both() -> None:
    nodes = "mic: {kind: mic, device: usb}\nout: {kind: speaker, in: {from: mic, on_loss: silence}}"
    assert said(nodes) == (
        "nodes.mic: two clock masters meet, out (default) and mic (usb): devices with clocks of their own drift apart; "
        "write 'mic_bridge: {kind: bridge, in: mic}' under nodes and mic_bridge in every input that names mic, "
        "or use one device (p.yaml:5)"
    )
    assert graph_of(nodes.replace("usb", "default"), clock="mic").top.clock == "mic"


# -- on_loss -----------------------------------------------------------------------------------------

HEARD = "song: {kind: noise}\nlate: {kind: delay, in: song}\n"


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ("out: {kind: speaker, in: song}", "nodes.out.in: this input is audible, so it needs on_loss: one of silence"),
        (
            "mix: {kind: sum, inputs: {a: song}}\nout: {kind: speaker, in: {from: mix, on_loss: fail}}",
            "nodes.mix.inputs.a: this input is audible, so it needs on_loss: one of silence, hold, "
            "bypass, fail (p.yaml:7)",
        ),
        (
            "out: {kind: speaker, in: {from: song, on_loss: hold}}",
            "nodes.out.in.on_loss: speaker has one of silence, fail, got 'hold' (p.yaml:7)",
        ),
        (
            "a: {kind: delay, in: {from: song, on_loss: silence}}",
            "nodes.a.in.on_loss: delay has no stand-in; on_loss is for mixed or audible inputs (p.yaml:7)",
        ),
        (
            "mix: {kind: sum, inputs: {a: {from: song, on_loss: bypass}}}",
            "nodes.mix.inputs.a.on_loss: bypass needs a declared bypass at song.out (declared: none) (p.yaml:7)",
        ),
        (
            "mix: {kind: sum, inputs: {a: {from: late, on_loss: mute}}}",
            "nodes.mix.inputs.a.on_loss: expected one of silence, hold, bypass, fail, got 'mute'",
        ),
    ],
)
def test_what_is_heard_must_say_what_is_heard_when_it_is_lost(nodes: str, words: str) -> None:
    assert said(HEARD + nodes).startswith(words)


def test_what_nobody_hears_need_not_say_it() -> None:
    graph_of(HEARD + "mix: {kind: sum, inputs: {a: late}}\nrec: {kind: sink, inputs: {a: mix}}")


# -- --set -------------------------------------------------------------------------------------------


def with_sets(tmp_path: Path, *sets: str) -> Graph:
    file = tmp_path / "p.yaml"
    file.write_text(text_of(GOOD))
    return load(file, sets)


def test_set_changes_what_the_file_says(tmp_path: Path) -> None:
    graph = with_sets(
        tmp_path,
        "nodes.song.seconds=2",
        "nodes.mix.inputs.dry.gain=0.25",
        "nodes.rec.inputs.b=song",
        "nodes.late.in.policy=block",
        "rate=44100",
        "name=x",
    )
    assert graph.nodes["song"].settings.seconds == 2.0
    assert graph.nodes["mix"].input_settings["dry"].gain == 0.25
    assert graph.nodes["rec"].inputs["b"] == Link(PortRef("song", "out"))
    assert graph.nodes["late"].inputs["in"] == Link(PortRef("song", "out"), policy="block")
    assert (graph.rate, graph.name) == (44_100, "x")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Song #3: live.mp3", "Song #3: live.mp3"),
        ("'5'", "5"),
        ("2024-05-01", "2024-05-01"),
        ("[x", "[x"),
        ("", ""),
        ("5", "5"),
        ("true", "true"),
        ("[1, 2]", "[1, 2]"),
        ("*x", "*x"),
        ("a=b", "a=b"),
        ("007", "007"),
        ("1e3", "1e3"),
        ("null", "null"),
    ],
)
def test_a_set_of_text_is_text_as_it_was_typed(tmp_path: Path, text: str, value: object) -> None:
    found: object = with_sets(tmp_path, f"name={text}").top.name
    assert found == value


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("nodes.song.path", "--set 'nodes.song.path': expected key=value, such as nodes.song.path=song.mp3"),
        ("=5", "--set '=5': expected key=value"),
        (
            "nodes.sogn.seconds=1",
            "--set nodes.sogn.seconds=1: unknown node 'sogn', did you mean 'song'?; known: song",
        ),
        ("nodes.song.seconds.x=1", "--set nodes.song.seconds.x=1: nodes.song.seconds is 1, which has no keys"),
        ("nodes.song.secs=1", "nodes.song.secs: unknown key, did you mean 'seconds'?"),
        ("nodes.song.seconds=-1", "nodes.song.seconds: expected a number >= 0, got -1"),
        ("nodes=1", "nodes: expected a map of nodes, got 1"),
    ],
)
def test_a_wrong_set_is_answered_with_one_sentence(tmp_path: Path, item: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        with_sets(tmp_path, item)
    assert str(error.value).startswith(words)


@given(
    st.lists(st.sampled_from(["nodes", "song", "late", "in", "inputs", "mix", "wet", "from", "x", ""]), max_size=5),
    st.sampled_from(["=", ""]),
    st.text(max_size=8),
)
def test_any_set_is_a_graph_or_a_config_error(path: list[str], equals: str, value: str) -> None:
    raw, places = parse_yaml(text_of(GOOD), "p.yaml")
    try:
        build_graph(_with_sets(raw, [".".join(path) + equals + value], places), places)
    except ConfigError:
        pass


KEYS = st.sampled_from(
    ["kind", "in", "inputs", "from", "policy", "on_loss", "seconds", "optional", "a", "b", "gain", "A b"]
)
VALUES = st.recursive(
    st.sampled_from(["noise", "delay", "sum", "sink", "speaker", "a", "b.out", "block", "bypass", "silence"])
    | st.none()
    | st.booleans()
    | st.integers(-2, 5)
    | st.floats()
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.dictionaries(KEYS, VALUES, max_size=4) | VALUES, max_size=3)
)
def test_any_nodes_are_a_graph_or_a_config_error(nodes: dict[str, object]) -> None:
    try:
        build_graph({"version": 1, "node_paths": [str(KINDS)], "nodes": nodes}, Places())
    except ConfigError as error:
        assert "\n" not in str(error)


# -- finding files and kinds -------------------------------------------------------------------------


def test_a_missing_file_names_the_nearest_bundled_one(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^pipeline file 'karaoki' not found, did you mean 'karaoke'\?; bundled are "
    ):
        find_config("karaoki")
    assert find_config("karaoke").name == find_config("karaoke.yaml").name == "karaoke.yaml"
    with pytest.raises(ConfigError, match="not found"):
        find_config(tmp_path / "karaoke")


@pytest.mark.parametrize("config", ["voice_clone", "voice_convert"])
def test_a_file_takes_the_microphones_place(config: str, tmp_path: Path) -> None:
    song = tmp_path / "me.wav"
    song.write_bytes(b"")
    mic = load(config, ["nodes.mic.kind=file_source", f"nodes.mic.path={song}"]).nodes["mic"]
    assert mic.kind == "file_source" and mic.settings.path == str(song)


def test_kinds_of_ones_own_stand_beside_the_bundled_ones(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        dedent("""
        from audio_pipeline.node import Filter
        class Half(Filter):
            def filter(self, x): return x / 2
        NODE = Half
    """)
    )
    (tmp_path / "_helper.py").write_text("raise RuntimeError")
    assert {"mine", "mixer"} < set(kind_names([tmp_path])) and "_helper" not in kind_names([tmp_path])
    assert load_kind("mine", [tmp_path]) is load_kind("mine", [tmp_path])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1/0", r"bad\.py failed to load: ZeroDivisionError: division by zero"),
        ("import nowhere_at_all", r"bad\.py failed to load: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def", r"bad\.py failed to load: SyntaxError"),
        ("NODE = 5", r"bad\.py has no NODE = <a Node class>, got 5"),
        ("", r"bad\.py has no NODE = <a Node class>, got None"),
    ],
)
def test_a_broken_kind_is_answered_with_one_sentence(tmp_path: Path, code: str, words: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(ConfigError, match=words):
        load_kind("bad", [tmp_path])


def test_node_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "own").symlink_to(KINDS)
    file = tmp_path / "p.yaml"
    file.write_text(text_of("song: {kind: noise}", node_paths=["own"]))
    assert load(file).node_paths == [tmp_path / "own"]


def test_paths_are_relative_to_where_they_were_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "songs").mkdir()
    file = tmp_path / "songs" / "set.yaml"
    song = "song: {kind: file_source, path: a.wav, playlist: [b.wav, /abs/c.wav, demo]}"
    file.write_text(text_of(f"{song}\nrec: {{kind: recorder, in: song}}"))
    monkeypatch.chdir(tmp_path)
    found = load("songs/set.yaml").nodes["song"].settings
    assert (found.path, found.playlist) == ("songs/a.wav", ("songs/b.wav", "/abs/c.wav", "demo"))
    typed = load(file, ["nodes.song.path=2001", "nodes.song.playlist=[b.wav]", "nodes.rec.folder=out"])
    assert (typed.nodes["song"].settings.path, typed.nodes["song"].settings.playlist) == ("2001", ("b.wav",))
    assert typed.nodes["rec"].settings.folder == "out"
    assert load(file).nodes["rec"].settings.folder == "", "empty stays empty"
    assert load(file).nodes["song"].settings.path == str(tmp_path / "songs" / "a.wav")
