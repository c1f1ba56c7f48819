"""A model for the streams of several pipelines: places with a lease, windows made of what was sent, answers.

It has no socket: messages come to `receive`, replies go to `send`. Each place has one window under way at most, and a
budget of windows a second that follows from its hop; so a user decides when it is served, and never how much.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

import numpy as np

from audio_pipeline.errors import ConfigError, NodeError, WireError
from audio_pipeline.host.processes import here, is_same
from audio_pipeline.models.separation.batching import Batcher, Job
from audio_pipeline.models.separation.types import LoadedModel, Window
from audio_pipeline.serving.model_admission import Admission, Grant
from audio_pipeline.serving.model_messages import (
    Alive,
    Answer,
    Failed,
    Frames,
    Join,
    Joined,
    Leave,
    Lost,
    Message,
    Refused,
    Reset,
    pack,
    unpack,
)
from audio_pipeline.serving.model_tenant import Tenant, Waiting, budget_of, names_of, shapes_of
from audio_pipeline.serving.spectrum import FrameMemory, kept_frames

LEASE_S = 10.0
JOINING = 16  # that wait for a measurement
BUSY_S = 0.05
FAILURES = 3  # in a row: the device is of no use any more
HUNG_S = 30.0  # an inference that takes so long never ends
NS = 1_000_000_000

Send = Callable[[bytes, bytes, bytes], None]  # to whom, message, what lies behind it


class ModelServer:
    """The places of one model. All methods belong to one thread."""

    def __init__(
        self,
        model: LoadedModel,
        token: str,
        send: Send,
        wake: Callable[[], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._model, self._token, self._send, self._wake, self._now_ns = model, token, send, wake, now_ns
        self._spec = model.spec
        self._admission = Admission(model)
        self._tenants: dict[str, Tenant] = {}
        self._joining: dict[bytes, Waiting] = {}
        self._failures = 0
        self._batcher = Batcher(
            model,
            self._admission.rows,
            fixed=model.padded,
            together=model.padded,
            lease_s=LEASE_S,
            now_ns=now_ns,
        )

    @property
    def engine(self) -> str:
        """Which model it is, and where and how it is computed."""
        return f"{self._spec.name} ({self._model.engine})"

    @property
    def users(self) -> tuple[str, ...]:
        """The streams that have a place, with their hops."""
        return names_of(self._tenants.values())

    def __len__(self) -> int:
        """Streams that have a place, or wait for one."""
        return len(self._tenants) + len(self._joining)

    # -- messages -----------------------------------------------------------------------------------

    def receive(self, sender: bytes, head: bytes, payload: bytes = b"") -> None:
        """Takes a message; what is no message, or names no place, is answered and costs nothing."""
        try:
            message = unpack(head)
            if isinstance(message, Join):
                self._on_join(sender, message)
            elif isinstance(message, (Frames, Reset, Alive, Leave)):
                self._on_tenant(sender, message, payload)
        except WireError as error:
            self._reply(sender, Refused(str(error)))

    def _on_tenant(self, sender: bytes, message: Frames | Reset | Alive | Leave, payload: bytes) -> None:
        tenant = self._tenants.get(message.place)
        if tenant is None:
            if not isinstance(message, Leave):
                self._reply(sender, Lost(message.place))
            return
        tenant.used_ns, tenant.address = self._now_ns(), sender
        if isinstance(message, Frames):
            self._on_frames(tenant, message, payload)
        elif isinstance(message, Reset):
            self._begin_anew(tenant)
        elif isinstance(message, Alive):
            self._reply(sender, message)
        else:
            self._end(tenant)

    def _begin_anew(self, tenant: Tenant) -> None:
        tenant.job = None
        tenant.memory.forget()
        self._batcher.begin_anew(tenant.place)

    # -- places -------------------------------------------------------------------------------------

    def _on_join(self, sender: bytes, join: Join) -> None:
        if not secrets.compare_digest(join.token.encode(), self._token.encode()):
            self._reply(sender, Refused("wrong token"))
            return
        try:
            self._place(sender, join)
        except (ConfigError, NodeError) as error:
            self._reply(sender, Refused(str(error)))

    def _place(self, sender: bytes, join: Join) -> None:
        """A place now, or once the model is measured in this mode and warm at this hop."""
        self._replace(join)
        found = self._admission.decide(join, self._tenants.values())
        if isinstance(found, Grant):
            self._admit(sender, join, found)
        else:
            self._prepare(sender, join, found)

    def _admit(self, sender: bytes, join: Join, granted: Grant) -> None:
        token, settings, tuning = secrets.token_hex(16), granted.settings, granted.tuning
        (shapes, wanted), budget = shapes_of(self._spec, settings), budget_of(self._spec, settings)
        place, memory = self._batcher.join(token), FrameMemory(self._spec, kept_frames(self._spec))
        load, now_ns = granted.load, self._now_ns()
        self._tenants[token] = Tenant(token, sender, join, place, load, shapes, wanted, memory, budget, now_ns)
        self._reply(sender, Joined(token, load.hop, tuning.compute_s, tuning.fastest_s, self._model.engine, LEASE_S))

    def _replace(self, join: Join) -> None:
        """A stream that joins again has lost its place, or its process is another one."""
        for tenant in [tenant for tenant in self._tenants.values() if tenant.join.stream == join.stream]:
            self._end(tenant)

    def _end(self, tenant: Tenant) -> None:
        self._tenants.pop(tenant.token, None)
        self._batcher.leave(tenant.place)

    def _prepare(self, sender: bytes, join: Join, work: Callable[[], None]) -> None:
        if len(self._joining) >= JOINING and sender not in self._joining:
            raise NodeError(f"{JOINING} streams wait for a place already")
        done = self._batcher.call(work)
        self._joining[sender] = Waiting(join, done)
        done.add_done_callback(lambda _: self._wake())

    # -- windows ------------------------------------------------------------------------------------

    def _on_frames(self, tenant: Tenant, frames: Frames, payload: bytes) -> None:
        tenant.sequence = frames.sequence
        try:
            tenant.memory.add(frames.first, payload)
            if (frames.length, frames.wanted) not in tenant.shapes:
                raise WireError(f"a window of {frames.length} frames, answered from {frames.wanted} on, is none of its")
            if not tenant.budget.take(1.0, tenant.used_ns / NS):
                self._reply(tenant.address, Failed(frames.sequence, "faster than its sound", BUSY_S))
                return
            window = tenant.memory.window(frames.start, frames.length)
        except WireError as error:
            self._reply(tenant.address, Failed(frames.sequence, str(error), BUSY_S))
            return
        asked = Window(0, window, frames.start, range(frames.wanted, frames.wanted + tenant.wanted), 0, 0, 0)
        tenant.job = self._batcher.submit(tenant.place, asked, frames.due_ns or None, self._wake)

    def turn(self) -> None:
        """Sends what has been answered, and ends places whose users are gone. Raises NodeError when it must end."""
        for tenant in [tenant for tenant in self._tenants.values() if tenant.job and tenant.job.future.done()]:
            job, tenant.job = tenant.job, None
            assert job is not None
            self._answer(tenant, job)
        for sender in [sender for sender, waiting in self._joining.items() if waiting.done.done()]:
            self._go_on(sender, self._joining.pop(sender))
        for tenant in list(self._over()):
            self._end(tenant)
        if self._batcher.is_stuck(HUNG_S):
            raise NodeError(f"an inference has taken {HUNG_S:g} s")

    def _go_on(self, sender: bytes, waiting: Waiting) -> None:
        error = waiting.done.exception()
        if error is not None:
            self._reply(sender, Refused(f"{type(error).__name__}: {error}"))
        else:
            self._on_join(sender, waiting.message)

    def _answer(self, tenant: Tenant, job: Job) -> None:
        if job.future.cancelled():
            return
        error = job.future.exception()
        if error is not None:
            self._failures += 1
            self._reply(tenant.address, Failed(tenant.sequence, f"{type(error).__name__}: {error}"[:400], BUSY_S))
            if self._failures >= FAILURES:
                raise NodeError(f"{FAILURES} inferences in a row have failed: {error}")
            return
        self._failures = 0
        self._admission.note(len(job.window.frames), job.took_s)
        answer = np.ascontiguousarray(job.future.result())
        self._send(tenant.address, pack(Answer(tenant.sequence)), answer.tobytes())

    def _over(self) -> Iterator[Tenant]:
        now_ns = self._now_ns()
        for tenant in self._tenants.values():
            user = tenant.join
            died = user.pid > 0 and user.here == here() and not is_same(user.pid, user.started)
            if died or now_ns - tenant.used_ns > LEASE_S * NS:
                yield tenant

    def _reply(self, to: bytes, message: Message) -> None:
        self._send(to, pack(message), b"")

    def close(self) -> None:
        """Ends the thread that infers."""
        self._batcher.close()
