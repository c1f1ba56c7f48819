from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.yamlfile import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml


def test_every_key_knows_its_line() -> None:
    value, places = parse_yaml("version: 1\nnodes:\n  a:\n    kind: x\n    list: [1, 2]\n", "p.yaml")
    assert value == {"version": 1, "nodes": {"a": {"kind": "x", "list": [1, 2]}}}
    assert places.of(("nodes", "a", "kind")) == " (p.yaml:4)"
    assert places.of(("nodes", "a", "list", "1")) == " (p.yaml:5)"
    assert places.of(("nodes", "b")) == " (p.yaml:2)"
    assert places.of(("nope",)) == " (p.yaml)"


@pytest.mark.parametrize("text", ["on: 1", "2024-05-01: 1", "1.0: 1", "null: 1", "'': 1"])
def test_keys_are_text_as_written(text: str) -> None:
    assert list(parse_yaml(text, "x")[0]) == [text[:-3].strip("'")]


def test_a_date_is_text() -> None:
    assert parse_yaml("folder: 2024-05-01", "x")[0] == {"folder": "2024-05-01"}


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("-2E+3", -2000.0), ("1.5e2", 150.0), ("'1e3'", "1e3"), ("1e", "1e")]
)
def test_numbers_may_have_an_exponent(text: str, value: object) -> None:
    assert parse_yaml(f"a: {text}", "x")[0] == {"a": value}


def test_an_alias_is_what_it_stands_for() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: *x", "x")[0] == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "p.yaml:3: key 'a' stands twice"),
        ("n:\n  a: 1\n  a: 1", "p.yaml:3: key 'n.a' stands twice"),
        ("1: a\n'1': b", "p.yaml:2: key '1' stands twice"),
        ("[1, 2]", "p.yaml: expected a map with 'version' and 'nodes', got list"),
        ("", "p.yaml: expected a map with 'version' and 'nodes', got NoneType"),
        ("a: [1", "p.yaml:1: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\nb: c: d", "p.yaml:2: not valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2", "p.yaml:2: not valid YAML: but found another document"),
        ("a: *b", "p.yaml:1: not valid YAML: found undefined alias 'b'"),
        ("? [a]\n: 1", "p.yaml:1: a key must be text, not a list or a map"),
        ("? {a: 1}\n: 1", "p.yaml:1: a key must be text, not a list or a map"),
        ("a: !!int ''", "p.yaml:1: not valid YAML: '' is no int"),
        ("a: !!float ''", "p.yaml:1: not valid YAML: '' is no float"),
        ("a: !!bool maybe", "p.yaml:1: not valid YAML: 'maybe' is no bool"),
        ("a: 1\nb: 0x_", "p.yaml:2: not valid YAML: '0x_' is no int"),
        (
            "a: !!python/name:os.system",
            "p.yaml:1: not valid YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/name:os.system'",
        ),
        ("a: \x07", "p.yaml: not valid YAML: unacceptable character #x0007: special characters are not allowed"),
        ("a: &a [*a]", f"p.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("a: " + "[" * 40 + "]" * 40, f"p.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("a: " + "[" * 5000, f"p.yaml: nested deeper than {MAX_DEPTH} levels"),
        ("{a: " * 2000, f"p.yaml: nested deeper than {MAX_DEPTH} levels"),
        ("a: " + "x" * MAX_BYTES, f"p.yaml: is larger than {MAX_BYTES} bytes"),
    ],
)
def test_bad_text_is_answered_with_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_yaml(text, "p.yaml")
    assert str(raised.value) == said


def test_a_tag_runs_nothing() -> None:
    assert parse_yaml("a: !!python/object/apply:os.system [ls]", "p.yaml")[0] == {"a": ["ls"]}


def test_an_alias_bomb_is_defused() -> None:
    """Nine aliases a level: ten levels would be 3.5 billion values."""
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 11))
    with pytest.raises(ConfigError, match="holds more than 50000 values, aliases resolved"):
        parse_yaml(bomb, "p.yaml")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    with pytest.raises(ConfigError, match=r"p\.yaml: cannot be read \(No such file or directory\)"):
        read_yaml(file)
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)"):
        read_yaml(tmp_path)
    file.write_bytes(b"name: caf\xe9")
    with pytest.raises(ConfigError, match=r"p\.yaml: is not UTF-8 text \(byte 9\)"):
        read_yaml(file)
    file.write_bytes(b"# " + "é".encode() * MAX_BYTES)
    with pytest.raises(ConfigError, match=r"p\.yaml: is larger than 1048576 bytes"):
        read_yaml(file)


def test_a_byte_order_mark_and_windows_lines_are_no_trouble(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_bytes("\ufeffversion: 1\r\nname: x\r\n".encode())
    assert read_yaml(file)[0] == {"version": 1, "name": "x"}


WORDS = (
    "a|b|: |:|\n|\n  |- |[|]|{|}|,|&x |*x|!!int |!!float |!!binary |!!set |!|>|'|\"|#|? |---|%|1|0x|1:2|~|<<|=|\t|é|"
    "\u2028|2024-13-45"
).split("|")
YAMLISH = st.lists(st.sampled_from([*WORDS, "|\n"]), max_size=30).map("".join)


@given(st.text(max_size=60) | YAMLISH | YAMLISH.map(lambda text: "a: " + text))
@example("a: !!binary 'x'")
@example("? !!int x\n: 1")
def test_any_text_is_a_map_or_a_config_error(text: str) -> None:
    try:
        value, _ = parse_yaml(text, "p.yaml")
    except ConfigError as error:
        assert str(error).startswith("p.yaml")
        return
    assert all(isinstance(key, str) for key in value)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_map_or_a_config_error(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "p.yaml"
        file.write_bytes(data)
        try:
            assert isinstance(read_yaml(file)[0], dict)
        except ConfigError as error:
            assert "p.yaml" in str(error)
