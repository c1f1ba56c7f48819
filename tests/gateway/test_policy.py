"""Who may open what: the whole table of roles, for every access and every operation."""

from __future__ import annotations

import pytest

from audio_pipeline.control.operations import OPERATIONS
from audio_pipeline.control.replies import OutputPort, PortsReply
from audio_pipeline.gateway.policy import Access, Caller, published, refusal, role_for
from audio_pipeline.keys import ROLES, may

PORTS = PortsReply("studio", 48_000, (OutputPort("mix.out", True), OutputPort("song.out", False)), ("voice",))
SHOWN = published(PORTS, ())
TARGETS = [(Access.LISTEN, "mix.out"), (Access.PLAY, "voice"), *((Access.OPERATION, name) for name in OPERATIONS)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("access", "target"), TARGETS)
def test_each_role_may_do_what_the_table_says_and_nothing_else(role: str, access: Access, target: str) -> None:
    needed = role_for(access, target)
    allowed = needed is not None and may(role, needed)
    reason = refusal(Caller("laptop", role), access, target, SHOWN)
    assert (reason == "") == allowed and "\n" not in reason


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("access", "target", "reason"),
    [
        (Access.LISTEN, "song.out", "'song.out' is not exported; exported are mix.out"),
        (Access.LISTEN, "../../etc.out", "'../../etc.out' is not exported; exported are mix.out"),
        (Access.OPERATION, "no such", "'no such' is not for other hosts"),
        (Access.OPERATION, "edit", "'edit' is not for other hosts"),
    ],
)
def test_what_is_not_published_is_for_no_role(role: str, access: Access, target: str, reason: str) -> None:
    assert refusal(Caller("laptop", role), access, target, SHOWN) == reason


def test_a_node_that_waits_for_no_sound_is_refused_with_those_that_do() -> None:
    assert refusal(Caller("laptop", "play"), Access.PLAY, "mix", SHOWN) == (
        "no node 'mix' waits for sound; those that do: voice"
    )


def test_without_exports_what_is_played_here_is_published() -> None:
    assert published(PORTS, ()).ports == ("mix.out",)
    assert published(PORTS, ("song.out",)).ports == ("song.out",)
    assert not published(PortsReply("studio", 48_000, (), ()), ()).is_known
