"""Runs one node: takes frames, calls the node, sends frames, keeps time. No process or control socket here.

`step` does whatever is possible now and returns; a worker process calls it in a loop, a test calls it
under a virtual clock.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import zmq

from audio_pipeline.align import Aligner, AlignSpec
from audio_pipeline.clock import ClockRecord, HostClock
from audio_pipeline.context import Out, RunnerContext
from audio_pipeline.errors import NodeError, PipelineError
from audio_pipeline.frame import Flag, Frame, Samples, gap_frame
from audio_pipeline.job import InJob, Job, OutJob
from audio_pipeline.link import InPort, InSpec, OutPort, OutSpec
from audio_pipeline.metrics import Board
from audio_pipeline.node import Node, Source
from audio_pipeline.pace import SourcePace, TickPace
from audio_pipeline.plan import DUE_MARGIN_FRAMES
from audio_pipeline.ports import Continuity, Converter, Framer
from audio_pipeline.settings import replaced
from audio_pipeline.waker import Waker

FADE_MS = 10
IDLE_NS = 100_000_000
BLOCKS_A_STEP = 32  # offline: stay responsive
CLOSE_NS = 2_000_000_000


class Input:
    """One input with its link, conversion and planned latencies."""

    def __init__(self, job: InJob, link: InPort, converter: Converter) -> None:
        self.job, self.link, self.converter = job, link, converter
        self.continuity = Continuity()
        self.latency_ms = job.latency_ms
        self.lead_ms = job.lead_ms
        self.ended = False

    @property
    def base(self) -> str:
        """The node's own name for it: a bypass input belongs to the one it stands in for."""
        return self.job.port.partition("~")[0]


class NodeRunner:
    """The engine around one node."""

    def __init__(
        self, job: Job, node: Node, context: zmq.Context[Any], clock: HostClock, board: Board, record: ClockRecord,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:  # fmt: skip
        self.job, self.node, self.clock, self.board = job, node, clock, board
        self.waker = Waker()
        self.ctx = RunnerContext(job, board, clock, record, self.waker, tell)
        self.ctx.due = self._due_ns
        self.tell = tell
        self.inbox: deque[dict[str, Any]] = deque()  # commands; appended from the control thread
        self.started = False
        self.ended = False
        self.generations = dict(job.generations)
        self._schedule = deque(sorted(job.schedule, key=lambda item: int(item[0])))
        self._poller = zmq.Poller()
        self._poller.register(self.waker.fd, zmq.POLLIN)
        self.outputs = [self._open_output(context, out) for out in job.outputs]
        self.inputs = {item.port: self._open_input(context, item) for item in job.inputs}
        self.aligner = self._make_aligner() if node.aligned else None
        self.ticks: TickPace | None = None
        self.source: SourcePace | None = None
        self._blocks: Iterator[Samples | int] | None = None
        self._closing_since: int | None = None
        self._worst_ns = 0

    # -- set-up -----------------------------------------------------------------------------------

    def _open_output(self, context: zmq.Context[Any], out: OutJob) -> Out:
        consumers = {name: (str(policy), int(queue)) for name, (policy, queue) in out.consumers.items()}
        spec = OutSpec(out.port, out.endpoint, 0, self.job.rate, 2, out.timeline, out.history_samples, consumers)
        port = OutPort(context, spec, self.job.token, self.job.epoch, self._counter(f"out.{out.port}"))
        self._poller.register(port.socket, zmq.POLLIN)

        def send(frame: Frame) -> None:
            port.offer(dataclasses.replace(frame, epoch=self.job.epoch, seq=port.seq + 1))

        framer = Framer(self.job.frame_samples, self.job.rate, send, self.ctx.count)
        framer.generation = self.generations.get(out.timeline, 0)
        result = Out(out.port, out.timeline, port, framer)
        self.ctx.outs[out.port] = result
        return result

    def _counter(self, prefix: str) -> Callable[[str], Callable[[str, int], None]]:
        def for_consumer(consumer: str) -> Callable[[str, int], None]:
            return lambda name, amount: self.board.add(f"{prefix}>{consumer}.{name}", amount)

        return for_consumer

    def _open_input(self, context: zmq.Context[Any], item: InJob) -> Input:
        spec = InSpec(item.port, item.identity, item.endpoint, 0, item.window, item.policy, item.queue)
        count = self._counter("in")(item.port)
        link = InPort(context, spec, self.job.token, self.job.epoch, count)
        self._poller.register(link.socket, zmq.POLLIN)
        base = item.port.partition("~")[0]
        return Input(item, link, Converter(self.node.input_rate(base, self.job.rate), self._channels(base)))

    def _channels(self, port: str) -> int | None:
        """What an input wants; where sounds are added up all must have the same, two unless the node says."""
        wanted = self.node.input_channels(port)
        return 2 if wanted is None and self.node.aligned else wanted

    def _make_aligner(self) -> Aligner:
        specs = [
            AlignSpec(item.port, item.timeline, self._channels(item.port) or 2, item.align_samples, item.on_loss, item.standby)
            for item in self.job.inputs if "~" not in item.port
        ]  # fmt: skip
        fade = self.job.rate * FADE_MS // 1000
        aligner = Aligner(specs, frame_samples=self.job.frame_samples, fade_samples=fade, live=self.job.live,
                          count=self.ctx.count)  # fmt: skip
        for timeline, (anchor, generation) in self.job.anchors.items():
            aligner.restore(timeline, anchor, generation)
        return aligner

    def reconnect(self, producer: str) -> None:
        """Connects anew to a producer that was replaced (inproc only; ipc and tcp do so by themselves)."""
        for item in self.inputs.values():
            if item.job.source.split(".")[0] == producer:
                self._poller.unregister(item.link.socket)
                item.link.reconnect()
                self._poller.register(item.link.socket, zmq.POLLIN)

    def open(self) -> None:
        """Opens the node: loading, devices, warm-up."""
        if self.job.state:
            self.node.restore(self.job.state)
        self.node.open(self.ctx)
        for item in self.inputs.values():
            item.link.since = self._since(item)

    def _since(self, item: Input) -> int | None:
        if self.job.incarnation == 0:
            return None
        if self.aligner is not None and item.job.timeline in self.job.anchors:
            here = self.ctx.position_at(self.clock.now_ns()) - self.job.anchors[item.job.timeline][0]
            return max(round(here), 0)
        wanted = self.node.resume_position(item.base)
        if wanted is not None:
            return wanted
        return 0 if self.node.context_samples() else None

    def start(self, *, latency_ms: Mapping[str, float], lead_ms: float, absent: list[str]) -> None:
        """The clock runs: latencies are the true ones now."""
        for port, stated in latency_ms.items():
            if port in self.inputs:
                self.inputs[port].latency_ms = stated
        for item in self.inputs.values():
            item.lead_ms = lead_ms if item.lead_ms else item.lead_ms
            if item.job.source.split(".")[0] in absent:
                self._mark_absent(item)
        now = self.clock.now_ns()
        if self.aligner is not None:
            self.ticks = TickPace(self.job.frame_samples, self.ctx.line(), now, live=self.job.live)
        if isinstance(self.node, Source):
            transport = self.job.transport
            self.source = SourcePace(int(transport.get("position", 0)), lead_ms * self.job.rate / 1000)
            self._blocks = iter(self.node.blocks(self.ctx))
            if "media_s" in transport:
                self.node.on_command("seek", {"seconds": transport["media_s"]}, self.ctx)
            if transport.get("playing", True):
                self.source.play(self.ctx.position_at(now))
        self.started = True

    def _mark_absent(self, item: Input) -> None:
        item.ended = True
        if self.aligner is not None and "~" not in item.job.port:
            self.aligner.absent(item.job.port)

    # -- the loop ---------------------------------------------------------------------------------

    def step(self, timeout_ms: int = 0) -> bool:
        """Waits at most `timeout_ms` for something to do, does it, and says whether anything moved."""
        ready = dict(self._poller.poll(self._patience_ms(timeout_ms)))
        began = self.clock.now_ns()
        woken = self.waker.fd in ready
        if woken:
            self.waker.clear()
        moved = self._commands()
        for out in self.outputs:
            out.port.handle()
        for item in self.inputs.values():
            item.link.handle()
        if self.started and not self.ended:
            moved |= self._work(woken)
        now = self.clock.now_ns()
        for item in self.inputs.values():
            item.link.speak(now)
        self._show(began, now)
        return moved

    def _patience_ms(self, timeout_ms: int) -> int:
        """Until the next deadline, at most `timeout_ms`."""
        if timeout_ms <= 0 or not self.started or self.ended:
            return timeout_ms
        if any(item.link.queue for item in self.inputs.values()) and self._room():
            return 0
        deadline = self.next_deadline_ns()
        if deadline is None:
            return timeout_ms
        wait_ns = deadline - self.clock.now_ns()
        return max(0, min(timeout_ms, -(-wait_ns // 1_000_000)))

    def next_deadline_ns(self) -> int | None:
        """Host time of the next thing to do without being asked; None: nothing."""
        times = [self.node.deadline_ns()]
        if self.job.live:
            line = self.ctx.line()
            times += [self.ticks.deadline_ns(line) if self.ticks else None]
            times += [self.source.deadline_ns(line, self.job.frame_samples) if self.source else None]
        elif self._room() and (self.source is not None or (self.aligner is not None and self.aligner.ready())):
            times.append(0)
        return min((at for at in times if at is not None), default=None)

    def _work(self, woken: bool) -> bool:
        moved = self._take()
        due = self.node.deadline_ns()
        if woken or (due is not None and self.clock.now_ns() >= due):
            self.node.poll(self.ctx)
            moved = True
        if self.source is not None:
            moved |= self._draw(self.source)
        if self.aligner is not None:
            moved |= self._tick()
        self._end_when_done()
        return moved

    def _room(self) -> bool:
        return all(out.port.room for out in self.outputs)

    # -- inputs -----------------------------------------------------------------------------------

    def _take(self) -> bool:
        moved = False
        for item in self.inputs.values():
            if item.link.refused:
                raise NodeError(f"input {item.job.port!r} was refused by {item.job.source}: {item.link.refused}")
            while item.link.queue and self._accepts(item, item.link.queue[0]):
                frame = item.link.take()
                if frame is not None:
                    self._use(item, frame)
                    moved = True
        return moved

    def _accepts(self, item: Input, frame: Frame) -> bool:
        """Offline nothing is lost, so nothing is taken before there is room for it."""
        if self.job.live:
            return True
        if self.aligner is not None:
            return self.aligner.room(item.job.port, 2 * frame.samples)
        return self._room()

    def _use(self, item: Input, frame: Frame) -> None:
        reason = self._useless(item, frame)
        if reason:
            item.link.dropped(reason)
            return
        item.link.used()
        if frame.captured_ns and self.job.live and not frame.flags & (Flag.REPLAY | Flag.END):
            age_ms = (self.clock.now_ns() - frame.captured_ns) / 1e6
            self.board.observe_ms(f"age.{item.job.port}", max(age_ms, 0.0))
        if frame.event is not None:
            self.node.on_event(item.base, frame.event, frame.position, self.ctx)
        elif self.aligner is not None:
            self._align(item, frame)
        else:
            self._process(item, frame)

    def _useless(self, item: Input, frame: Frame) -> str:
        """Why a frame is dropped at the door, or an empty string."""
        known = self.generations.get(item.job.timeline, 0)
        if frame.generation < known:
            return "cancelled"
        if frame.generation > known:
            self._enter_generation(item.job.timeline, frame.generation)
        if not self.job.live or self.aligner is not None or item.job.policy == "block":
            return ""
        if frame.flags & (Flag.REPLAY | Flag.END) or frame.samples == 0:
            return ""
        limit_ms = item.latency_ms + item.lead_ms + item.job.budget_ms
        return "stale" if self.clock.now_ns() - frame.captured_ns > limit_ms * 1e6 else ""

    def _align(self, item: Input, frame: Frame) -> None:
        assert self.aligner is not None
        frame = item.converter.convert(frame)
        if frame.flags & Flag.END:
            item.ended = True
        reason = self.aligner.push(item.job.port, frame, self._due_ns(item.job.port, frame), self.clock.now_ns())
        if reason:
            self.ctx.count(f"{reason}_frames")

    def _process(self, item: Input, frame: Frame) -> None:
        if frame.samples == 0 and frame.flags & Flag.GAP and not frame.flags & Flag.END:
            self._pass_idle(item, frame)
        frames = [frame] if not self.node.continuous else item.continuity.repair(frame)
        for whole in frames:
            if whole.flags & Flag.DISCONTINUITY and item.continuity.expected is not None:
                item.converter.reset()
                self.node.reset(whole.position, "discontinuity", self.ctx)
            converted = item.converter.convert(whole)
            self.ctx.note_input(converted)
            if converted.samples or (not self.node.continuous and not converted.flags & Flag.END):
                self._scheduled(converted.position)
                self.node.process({item.base: converted}, self.ctx)
        if frame.flags & Flag.END:
            item.ended = True

    def _pass_idle(self, item: Input, frame: Frame) -> None:
        """Idle is not dead, also for those further down."""
        for out in self.outputs:
            if out.timeline == item.job.timeline and frame.generation == out.framer.generation:
                out.port.offer(dataclasses.replace(frame, epoch=self.job.epoch, seq=out.port.seq + 1))

    def _due_ns(self, port: str, frame: Frame) -> int:
        item = self.inputs[port]
        first_ns = frame.captured_ns - round(frame.samples / max(frame.rate, 1) * 1e9)
        frame_ms = self.job.frame_samples / self.job.rate * 1000
        return first_ns + round((item.latency_ms + DUE_MARGIN_FRAMES * frame_ms) * 1e6)

    # -- outputs of the engine's own making ---------------------------------------------------------

    def _draw(self, pace: SourcePace) -> bool:
        """Takes blocks from a source: as the clock asks when live, as credit allows offline."""
        moved = False
        for _ in range(BLOCKS_A_STEP):
            now = self.clock.now_ns()
            line = self.ctx.line()
            if self._blocks is None or not pace.playing:
                return self._say_idle(now) or moved
            due = self._room() if not self.job.live else pace.due(line.position_at(now), self.job.frame_samples)
            if not due:
                return moved
            self._scheduled(pace.position)
            block = next(self._blocks, None)
            if block is None:
                self._blocks = None
                self._finish()
                return True
            self._emit_block(pace, block, line.host_ns_at(pace.clock_position(pace.position + _length(block))))
            moved = True
        return moved

    def _emit_block(self, pace: SourcePace, block: Samples | int, captured_ns: int) -> None:
        if isinstance(block, int):
            self.ctx.emit_gap("out", block, pace.position)
        else:
            self.ctx.emit("out", block, pace.position, captured_ns=captured_ns)
        pace.position += _length(block)
        self.board.put("position", pace.position)

    def _say_idle(self, now: int) -> bool:
        """A paused source says ten times a second that it is idle, not dead."""
        pace = self.source
        if pace is None or not self.job.live or now < pace.next_idle_ns:
            return False
        pace.next_idle_ns = now + IDLE_NS
        for out in self.outputs:
            if out.name == "out":
                frame = gap_frame(0, pace.position, self.job.rate, 2, generation=out.framer.generation, captured_ns=now)
                out.port.offer(dataclasses.replace(frame, epoch=self.job.epoch, seq=out.port.seq + 1))
        return True

    def _tick(self) -> bool:
        ticks, aligner = self.ticks, self.aligner
        assert ticks is not None and aligner is not None
        moved = False
        while not self.ended:
            now = self.clock.now_ns()
            if self.job.live:
                skipped = ticks.skip(self.ctx.line(), now)
                if skipped:
                    self.ctx.count("skipped_samples", skipped)
                    aligner.skip_to(ticks.position)
                if not ticks.due(self.ctx.line(), now):
                    return moved
                n = ticks.frame_samples
            else:
                if not (self._room() and aligner.ready()):
                    return moved
                n = aligner.remaining(ticks.position)
                if n <= 0:
                    return moved
            self._scheduled(ticks.position)
            self._mix(aligner, ticks.position, n, now)
            ticks.position += n
            moved = True
        return moved

    def _mix(self, aligner: Aligner, position: int, n: int, now: int) -> None:
        captured = aligner.captured_ns(position + n) or now
        frames: dict[str, Frame] = {}
        for name, (block, flags) in aligner.tick(position, n, now).items():
            frames[name] = Frame(block, position, n, self.job.rate, block.shape[1], flags, captured_ns=captured)
        self.ctx.note_input(Frame(None, position, n, self.job.rate, 2, captured_ns=captured))
        self.node.process(frames, self.ctx)
        self.board.put("position", position + n)
        for timeline, heard in aligner.heard(position + n).items():
            self.board.put(f"heard.{timeline}", heard)
            self.board.put(f"anchor.{timeline}", position + n - heard)
            self.board.put(f"anchor_generation.{timeline}", aligner.timelines[timeline].generation)

    # -- the end ------------------------------------------------------------------------------------

    def _end_when_done(self) -> None:
        if self.ended or not self.inputs:
            return
        if self.aligner is not None:
            finished = self.aligner.ended
        else:
            finished = all(item.ended for item in self.inputs.values())
        if finished:
            self.node.flush(self.ctx)
            self._finish()

    def _finish(self) -> None:
        for out in self.outputs:
            last = out.framer.last(0, self.job.rate, 2, self.clock.now_ns())
            out.port.offer(dataclasses.replace(last, epoch=self.job.epoch, seq=out.port.seq + 1))
        self.ended = True

    @property
    def drained(self) -> bool:
        """After the end: lossless consumers have everything, or two seconds passed (which is logged)."""
        if all(out.port.drained for out in self.outputs):
            return True
        now = self.clock.now_ns()
        self._closing_since = self._closing_since or now
        if now - self._closing_since < CLOSE_NS:
            return False
        self.ctx.log("closed with frames that a consumer did not take within 2 s")
        return True

    # -- commands -------------------------------------------------------------------------------------

    def _commands(self) -> bool:
        moved = False
        while self.inbox:
            command = self.inbox.popleft()
            answer = self._obey(command)
            if "id" in command:
                self.tell({"op": "reply", "id": command["id"], **answer})
            moved = True
        return moved

    def _obey(self, command: Mapping[str, Any]) -> dict[str, Any]:
        handlers: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "start": lambda c: self.start(latency_ms=c["latency_ms"], lead_ms=c["lead_ms"], absent=c["absent"]),
            "set": self._on_set, "cancel": self._on_cancel, "transport": self._on_transport,
            "absent": self._on_absent, "finish": lambda c: self._on_finish(),
        }  # fmt: skip
        try:
            return {"ok": True, "result": handlers[command["op"]](command)}
        except NotImplementedError:
            return {"ok": False, "error": f"{self.job.name} ({self.job.kind}) does not know {command.get('command')!r}"}
        except PipelineError as error:
            return {"ok": False, "error": str(error)}

    def _on_finish(self) -> None:
        """A clean stop: whoever makes sound ends it now, and the end travels through the graph."""
        if self.started and not self.ended and not self.inputs:
            self.node.flush(self.ctx)
            self._finish()

    def _on_absent(self, command: Mapping[str, Any]) -> None:
        for item in self.inputs.values():
            if item.job.source.split(".")[0] == command["node"]:
                self._mark_absent(item)

    def _on_set(self, command: Mapping[str, Any]) -> dict[str, Any]:
        position = self.output_position
        at = command.get("at")
        if at is not None and at > position:
            self._schedule.append([at, command["name"], command["value"]])
            self._schedule = deque(sorted(self._schedule, key=lambda item: int(item[0])))
            return {"position": at}
        self._apply(command["name"], command["value"], position)
        return {"position": position}

    @property
    def output_position(self) -> int:
        """Where the node's output is now."""
        if self.ticks is not None:
            return self.ticks.position
        if self.source is not None:
            return self.source.position
        ends = [out.framer.end for out in self.outputs if out.framer.end is not None]
        return max(ends, default=0)

    def _scheduled(self, position: int) -> None:
        while self._schedule and int(self._schedule[0][0]) <= position:
            _, name, value = self._schedule.popleft()
            self._apply(name, value, position)

    def _apply(self, name: str, value: Any, position: int) -> None:
        if name.startswith("inputs."):
            inputs = replaced(self.node.input_settings, name.removeprefix("inputs."), value, ("inputs",))
            self.node.input_settings = inputs
        else:
            self.node.settings = replaced(self.node.settings, name, value)
        self.node.on_param(name, value, position, self.ctx)

    def _on_cancel(self, command: Mapping[str, Any]) -> None:
        self._enter_generation(command["timeline"], command["generation"])

    def _enter_generation(self, timeline: str, generation: int) -> None:
        """From here on nothing older of this timeline is used, sent or remembered."""
        if generation <= self.generations.get(timeline, 0):
            return
        self.generations[timeline] = generation
        self.ctx.wanted_generation = max(self.ctx.wanted_generation, generation)
        for item in self.inputs.values():
            if item.job.timeline == timeline:
                self._forget(item, generation)
        if self.aligner is not None:
            self.aligner.cancel(timeline, generation)
        elif any(item.job.timeline == timeline for item in self.inputs.values()):
            self.node.reset(-1, "cancel", self.ctx)
        for out in self.outputs:
            if out.timeline == timeline:
                out.framer.cancel(generation)
                out.port.cancel(generation)

    def _forget(self, item: Input, generation: int) -> None:
        item.continuity.reset()
        item.converter.reset()
        kept = deque(frame for frame in item.link.queue if frame.generation >= generation)
        while item.link.queue:
            frame = item.link.take()
            if frame is not None and frame.generation < generation:
                item.link.dropped("cancelled")
        item.link.queue.extend(kept)

    def _on_transport(self, command: Mapping[str, Any]) -> Any:
        """play, pause and what the source itself knows; a new generation where old sound must not be heard."""
        if self.source is None:
            raise NotImplementedError
        name = command["command"]
        result = None
        if name not in ("play", "pause"):
            result = self.node.on_command(name, command.get("args", {}), self.ctx)
        elif command.get("args"):
            self.node.on_command("seek", command["args"], self.ctx)
        if "generation" in command:
            self._enter_generation(self.job.name, command["generation"])
            self.source.playing = command.get("playing", True)
            if self.source.playing:
                self.source.play(self.ctx.position_at(self.clock.now_ns()))
        return result

    # -- showing ----------------------------------------------------------------------------------------

    def _show(self, began: int, now: int) -> None:
        self.board.put("beat_ns", now)
        self.board.add("steps")
        self.board.add("busy_ns", now - began)
        if now - began > self._worst_ns:
            self._worst_ns = now - began
            self.board.put("worst_step_ns", self._worst_ns)
        for out in self.outputs:
            for name, subscription in out.port.subscriptions.items():
                self.board.put(f"out.{out.name}>{name}.queued", len(subscription.queue))
                self.board.put(f"out.{out.name}>{name}.in_flight", len(subscription.in_flight))
        self.ctx.show_levels(now)

    def close(self) -> None:
        """Lets go of sockets and the node."""
        for item in self.inputs.values():
            item.link.speak(self.clock.now_ns() + 10**9)
            item.link.close()
        for out in self.outputs:
            out.port.close()
        self.node.close()
        self.waker.close()


def _length(block: Samples | int) -> int:
    return block if isinstance(block, int) else len(block)
