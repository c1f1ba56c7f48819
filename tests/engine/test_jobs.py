from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from audio_pipeline.errors import ConfigError
from audio_pipeline.graph.job import Anchor, QueueTerms, ScheduledSetting, SourcePlace, pack_jobs, unpack_jobs
from audio_pipeline.graph.plan import make_plan
from audio_pipeline.node import Latency
from audio_pipeline.refs import PortRef
from audio_pipeline.supervisor.job_maker import JobMaker
from audio_pipeline.supervisor.jobs import Run, make_job, start_command
from audio_pipeline.supervisor.pipeline_state import PipelineState
from audio_pipeline.supervisor.playhead import Playhead
from audio_pipeline.worker.build_node import build_node
from tests.engine.graphs import graph_of

NODES = """
song: {kind: noise, seconds: 2}
mic: {kind: noise, ahead: false}
late: {kind: delay, hop: 4096, in: song}
mix:
  kind: sum
  inputs:
    wet: {from: late, on_loss: bypass, gain: 0.5}
    mic: {from: mic, on_loss: silence}
mark: {kind: marker, in: mix}
ears: {kind: ears, in: mark.marks}
"""


def run_of(*, live: bool = True) -> Run:
    return Run(make_plan(graph_of(NODES), live=live), Path("/run"), Path("/out"), lambda port: f"at:{port}")


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("name", ["song", "mic", "late", "mix", "mark", "ears"])
def test_a_job_survives_the_way_to_its_process(name: str, live: bool) -> None:
    job = replace(
        make_job(run_of(live=live), name, incarnation=3),
        generations={"song": 2},
        anchors={"song": Anchor(5, 2)},
        state={"hop": 8, "past": [b"\0", {"of": None}]},
        place=SourcePlace(7, playing=False, media_s=0.5),
        schedule=(ScheduledSetting(480, "gain", 0.5),),
        cpus=(0, 2),
    )
    assert unpack_jobs(pack_jobs([job, job])) == [job, job]
    assert (job.incarnation, job.epoch, job.live) == (3, 4, live)


def test_every_incarnation_has_an_epoch_and_a_board_of_its_own() -> None:
    run = run_of()
    jobs = [make_job(run, "mix", incarnation=number) for number in range(3)]
    assert [job.epoch for job in jobs] == [1, 2, 3] and len({job.board for job in jobs}) == 3
    assert {job.token for job in jobs} == {run.token} and len(run.token) == 32


def test_both_ends_of_a_link_are_told_the_same() -> None:
    run = run_of()
    jobs = {name: make_job(run, name) for name in run.plan.order}
    outs = {(name, out.endpoint): out for name, job in jobs.items() for out in job.outputs}
    for name, job in jobs.items():
        for item in job.inputs:
            out = outs[item.source.node, item.endpoint]
            assert out.consumers[str(item.target)] == QueueTerms(item.policy, item.queue) and item.target.node == name
            assert out.events == item.events and item.window >= 4


def test_a_bypass_is_wired_beside_the_input_it_stands_in_for() -> None:
    inputs = {item.target.name: item for item in make_job(run_of(), "mix").inputs}
    assert list(inputs) == ["wet", "wet~bypass", "mic"]
    assert inputs["wet"].has_standby and not inputs["mic"].has_standby
    standby = inputs["wet~bypass"]
    assert standby.standby and standby.source == PortRef("song", "out")
    assert standby.timeline == inputs["wet"].timeline == "song"


def test_only_what_cannot_run_ahead_is_eager() -> None:
    inputs = {item.target.name: item.eager for item in make_job(run_of(), "mix").inputs}
    assert inputs == {"wet": False, "wet~bypass": False, "mic": True}
    assert not any(item.eager for item in make_job(run_of(live=False), "mix").inputs)


def test_settings_that_were_changed_replace_those_of_the_file() -> None:
    run = run_of()
    state = PipelineState(run)
    state.nodes["late"].settings = type(run.plan.graph.nodes["late"].settings)(hop=7)
    job = JobMaker(state, Playhead(state, lambda address, command: None)).job(state.nodes["late"], run)
    assert job.settings == {"hop": 7, "gain": 1.0}
    assert make_job(run, "mix").input_settings == {"wet": {"gain": 0.5}, "mic": {"gain": 1.0}}


def test_the_node_of_a_job_has_its_settings() -> None:
    node = build_node(make_job(run_of(), "mix"))
    assert node.input_settings["wet"].gain == 0.5
    assert build_node(make_job(run_of(), "late")).settings.hop == 4096


def test_a_job_for_a_kind_that_is_gone_is_refused() -> None:
    job = make_job(run_of(), "mix")
    with pytest.raises(ConfigError, match="unknown node kind 'sum'"):
        build_node(replace(job, node_paths=()))


def test_the_start_says_the_true_latencies() -> None:
    run = run_of()
    before = start_command(run.plan, "mix", ["mic"])
    plan = make_plan(run.plan.graph, {"late": Latency(hop=8192)}, live=True)
    after = start_command(plan, "mix", ["mic"])
    assert before.absent == ("mic",)
    then, now = ({link.target.name: link for link in command.inputs} for command in (before, after))
    assert abs(now["wet"].latency_ms - then["wet"].latency_ms - 4096 / 48) < 1e-6
    assert now["wet~bypass"].align_samples - then["wet~bypass"].align_samples >= 4096
    assert set(start_command(plan, "song", []).outputs) == {"out", "map"}


def test_a_bridge_is_told_what_counts_its_input() -> None:
    """Two cards: the other card's record. One card: the microphone's own, to see how far it is from the rest."""
    nodes = "mic: {kind: mic, device: MIC}\njoin: {kind: bridge, in: mic}\n"
    nodes += "out: {kind: speaker, device: card, in: {from: join, on_loss: silence}}"
    for device, same in (("usb", False), ("card", True)):
        plan = make_plan(graph_of(nodes.replace("MIC", device)))
        run = Run(plan, Path("/run"), Path("/out"), str)
        jobs = {name: make_job(run, name) for name in run.plan.order}
        taken = jobs["join"].inputs[0]
        assert (taken.clock, taken.same_clock) == ("/run/clock.mic", same)
        assert jobs["mic"].clock == ("/run/clock" if same else "/run/clock.mic")
        assert jobs["join"].clock == jobs["out"].clock == "/run/clock" and jobs["out"].master
        assert jobs["mic"].master is not same and jobs["mic"].own_clock == "/run/clock.mic"
        assert jobs["out"].inputs[0].clock == ""
