"""Who runs on which clock, and what a file must say where two of them meet."""

from __future__ import annotations

import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.load import load
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.graph.regions import HOST, clocks_of
from audio_pipeline.graph.types import Graph
from tests.engine.graphs import graph_of

SONG = "song: {kind: noise}\n"
HEARD = "{from: FROM, on_loss: silence}"


def speaker(source: str, device: str = "card") -> str:
    return f"out: {{kind: speaker, device: {device}, in: {HEARD.replace('FROM', source)}}}\n"


def mic(device: str = "card") -> str:
    return f"mic: {{kind: mic, device: {device}}}\n"


def said(nodes: str) -> str:
    with pytest.raises(ConfigError) as error:
        graph_of(nodes)
    return str(error.value)


def bridged(graph: Graph) -> float:
    return make_plan(graph).latencies["join"].total


def test_without_devices_everybody_follows_the_host() -> None:
    clocks = clocks_of(graph_of(SONG + "late: {kind: delay, in: song}"))
    assert clocks.domains == {"song": HOST, "late": HOST} and clocks.master == HOST
    assert not clocks.devices


def test_one_card_is_one_clock_and_the_loudspeaker_gives_it() -> None:
    clocks = clocks_of(graph_of(mic() + speaker("mic")))
    assert clocks.master == "out" and clocks.is_master("out") and not clocks.is_master("mic")


def test_a_bridge_parts_two_cards() -> None:
    graph = graph_of(mic("usb") + "join: {kind: bridge, in: mic}\n" + speaker("join"))
    clocks = clocks_of(graph)
    assert clocks.domains == {"mic": "usb", "join": "card", "out": "card"}
    assert clocks.main == "card" and clocks.is_master("mic") and clocks.is_master("out")
    assert clocks.device("mic") == "mic" and clocks.device("join") == ""
    assert bridged(graph) == 32


def test_a_bridge_before_the_loudspeaker_leaves_the_rest_on_the_microphone() -> None:
    graph = graph_of(mic("usb") + "late: {kind: delay, in: mic}\njoin: {kind: bridge, in: late}\n" + speaker("join"))
    assert clocks_of(graph).domains == {"mic": "usb", "late": "usb", "join": "card", "out": "card"}


def test_what_has_no_device_before_a_bridge_runs_on_the_host() -> None:
    graph = graph_of(SONG + "join: {kind: bridge, in: song}\n" + speaker("join"))
    assert clocks_of(graph).domains["song"] == HOST and clocks_of(graph).device("song") == HOST


def test_a_bridge_between_one_card_and_itself_takes_no_time() -> None:
    graph = graph_of(mic() + "join: {kind: bridge, in: mic}\n" + speaker("join"))
    assert clocks_of(graph).domains["mic"] == "card"
    assert bridged(graph) == 0
    always = graph_of(mic() + "join: {kind: bridge, mode: always, in: mic}\n" + speaker("join"))
    assert bridged(always) == 32


def test_offline_there_are_no_clocks() -> None:
    graph = graph_of(mic("usb") + "join: {kind: bridge, in: mic}\n" + speaker("join"))
    assert clocks_of(graph, live=False).master == HOST
    assert make_plan(graph, live=False).latencies["join"].total == 0


def test_two_loudspeakers_without_a_bridge_are_told_where_it_goes() -> None:
    other = "far: {kind: speaker, device: usb, in: {from: song, on_loss: silence}}"
    assert said(SONG + speaker("song") + other).startswith(
        "nodes.far: two clock masters meet, out (card) and far (usb): devices with clocks of their own drift apart; "
        "write 'far_bridge: {kind: bridge, in: song}' under nodes and 'from: far_bridge' in far, or use one device"
    )


def test_what_the_error_says_to_write_works() -> None:
    assert "mic_bridge: {kind: bridge, in: mic}" in said(mic("usb") + speaker("mic"))
    graph = graph_of(mic("usb") + "mic_bridge: {kind: bridge, in: mic}\n" + speaker("mic_bridge"))
    assert set(clocks_of(graph).domains.values()) == {"usb", "card"}


def test_a_bridge_does_not_help_where_the_cards_meet_behind_it() -> None:
    nodes = mic("usb") + "join: {kind: bridge, in: mic}\nsum: {kind: sum, inputs: {a: {from: join, on_loss: silence}, "
    assert "two clock masters" in said(nodes + "b: {from: mic, on_loss: silence}}}\n" + speaker("sum"))


@pytest.mark.parametrize("name", ["clean_speech", "karaoke", "mic_stems", "passthrough"])
def test_bundled_pipelines_take_two_cards(name: str) -> None:
    one, two = load(name), load(name, ["nodes.mic.device=USB Audio"])
    assert len(set(clocks_of(one).domains.values())) == 1
    assert len(set(clocks_of(two).domains.values())) == 2
    names = [n for n, spec in two.nodes.items() if spec.cls.bridge]
    assert [make_plan(one).latencies[n].total for n in names] == [0]
    assert [make_plan(two).latencies[n].total for n in names] == [32]


def test_the_budget_of_a_singer_leaves_out_what_her_second_card_takes() -> None:
    """Two cards cost a frame and 0.7 ms more; the table says so, the budget is for the rest."""
    one, two = (make_plan(load("karaoke", sets)) for sets in ([], ["nodes.mic.device=USB Audio"]))
    first, second = one.paths[0], two.paths[0]
    assert first.monitor and second.monitor
    assert 10 <= second.total_ms - first.total_ms <= 21
