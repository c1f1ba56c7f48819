"""What the supervisor and a node send each other: one table each, and nothing that comes over it ends the receiver."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_pipeline.control import notices
from audio_pipeline.control.codec import decode, encode
from audio_pipeline.control.notices import NOTICES, OPS, notice_in
from audio_pipeline.errors import ControlError, WireError
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.supervisor.jobs import Run, rewire_command, start_command
from audio_pipeline.worker import commands
from audio_pipeline.worker.commands import COMMANDS, Command, Position, Result, answer_in, command_in, packed
from tests.engine.graphs import graph_of

NODES = """
song: {kind: noise, seconds: 2}
late: {kind: delay, hop: 4096, in: song}
mix: {kind: sum, inputs: {wet: {from: late, on_loss: bypass, gain: 0.5}, dry: {from: song, on_loss: silence}}}
mark: {kind: marker, in: mix}
ears: {kind: ears, in: mark.marks}
"""
PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def commands_of_a_graph() -> Iterator[Command]:
    """One of each kind, those about links as a true graph has them."""
    run = Run(make_plan(graph_of(NODES)), Path("/run"), Path("/out"), lambda port: f"ipc://{port}")
    for name, spec in run.plan.graph.nodes.items():
        yield start_command(run.plan, name, ["song"])
        yield rewire_command(run, name, spec.input_settings, ["song"])
    yield commands.Expect({}, 0.0, (), (), (), id=-3)
    yield commands.Set("inputs.wet.gain", [1, {"deep": None}], 48_000, id=5)
    yield commands.Event("text", {"kind": "text", "text": "la"}, id=6)
    yield commands.Transport("seek", {"seconds": 1.5}, 7, playing=False, id=8)
    yield commands.Cancel("song", 3)
    yield commands.Absent("late")
    yield commands.Present("late")
    yield commands.Lead(12.5)
    yield commands.Bind(("out", "map"))
    yield from (commands.Retire(), commands.Finish(), commands.Stop())


NOTICES_OF_A_NODE = (
    notices.Ready((0, 1, 2, 3), ("gain", "inputs.a.gain")),
    notices.Failed("no such file", "ConfigError", 2),
    notices.Ended(),
    notices.Resumed(),
    notices.Dismissed(),
    notices.Event({"kind": "media", "position": 7}),
    notices.Log("a line"),
    notices.Snapshot({"hop": 8}),
    notices.Reply(-4, ok=True, result={"position": 480}),
    notices.Applied(48_000, "gain", 0.5, ok=False),
)


def test_every_command_survives_the_way_to_its_node() -> None:
    sent = list(commands_of_a_graph())
    assert {type(command) for command in sent} == {row.command for row in COMMANDS.values()}
    assert [command_in(packed(command)) for command in sent] == sent


def test_every_notice_survives_the_way_to_the_supervisor() -> None:
    assert {type(notice) for notice in NOTICES_OF_A_NODE} == set(NOTICES.values())
    received = [notice_in(decode(notices.packed(notice, "mix", "token"))) for notice in NOTICES_OF_A_NODE]
    assert received == list(NOTICES_OF_A_NODE)


def test_an_answer_is_what_its_command_asks_for() -> None:
    assert answer_in(commands.Set("gain", 1), {"position": 480}) == Position(480)
    assert answer_in(commands.Transport("next"), {"result": [1]}) == Result([1])
    with pytest.raises(ControlError, match=r"reply to set\.position: expected a whole number, got 'soon'"):
        answer_in(commands.Set("gain", 1), {"position": "soon"})


def mangled(message: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A message with some keys left out, some that it does not have, and some values that are others."""
    keys = st.sampled_from([*message, "more", "id", "v"])
    return st.builds(
        lambda gone, other: {**{key: value for key, value in message.items() if key not in gone}, **other},
        st.sets(st.sampled_from([*message])),
        st.dictionaries(keys, VALUES, max_size=3),
    )


SENT = [decode(packed(command)) for command in commands_of_a_graph()]
RECEIVED = [decode(notices.packed(notice, "mix", "token")) for notice in NOTICES_OF_A_NODE]


def _packable(value: Any) -> bytes:
    try:
        return encode(value)
    except (TypeError, ValueError, OverflowError):
        return b"\xc1"


@given(st.binary(max_size=64) | st.sampled_from(SENT).flatmap(mangled).map(_packable))
def test_whatever_comes_is_a_command_or_one_sentence(data: bytes) -> None:
    try:
        command = command_in(data)
    except (ControlError, WireError) as error:
        assert str(error) and "\n" not in str(error)[:40] and len(str(error)) <= 600
    else:
        assert command_in(packed(command)) == command or "nan" in repr(command)


@given(st.sampled_from(RECEIVED).flatmap(mangled))
def test_whatever_comes_is_a_notice_or_one_sentence(message: dict[str, Any]) -> None:
    try:
        notice = notice_in(message)
    except ControlError as error:
        assert str(error) and len(str(error)) <= 600
    else:
        assert OPS[type(notice)] == message["op"]


@given(st.sampled_from([row.command for row in COMMANDS.values()]), VALUES)
def test_whatever_a_node_answers_is_an_answer_or_one_sentence(kind: type[Command], result: Any) -> None:
    command = next(command for command in commands_of_a_graph() if isinstance(command, kind))
    try:
        assert dataclasses.is_dataclass(answer_in(command, result))
    except ControlError as error:
        assert str(error).startswith("reply to ")


@pytest.mark.parametrize("op", [*COMMANDS, *NOTICES])
def test_the_protocols_page_has_every_field(op: str) -> None:
    kinds = [row.command for row in COMMANDS.values() if row.op == op] + [NOTICES[op] for _ in [0] if op in NOTICES]
    rows = " ".join(re.findall(rf"^\| `{op}` \|.*$", PAGE, re.MULTILINE))
    missing = {field.name for kind in kinds for field in dataclasses.fields(kind) if f"`{field.name}`" not in rows}
    assert rows and missing <= {"id"}, f"{op}: docs/protocol.md does not name {', '.join(sorted(missing))}"
