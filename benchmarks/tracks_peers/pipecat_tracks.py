"""Tracks of 10 ms frames through Pipecat's voice activity detection: `pipecat_tracks.py SPEECH.wav TRACKS SECONDS`.

One pipeline takes the frames of all tracks, as its transports hand them over. Prints one line of JSON: the age of each
frame, in ms, when it came out, in the order of their due times, how many were offered, and the CPU time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import wave
from pathlib import Path

from loguru import logger
from pipecat import __version__
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import EndFrame, Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

RATE, FRAME = 16_000, 160
PATIENCE_S = 10.0  # for what is queued still, after the last frame was offered


class Ages(FrameProcessor):
    """Notes how old each audio frame is."""

    def __init__(self) -> None:
        super().__init__()
        self.ages: list[tuple[int, float]] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame) and frame.pts:
            self.ages.append((frame.pts, (time.monotonic_ns() - frame.pts) / 1e6))
        await self.push_frame(frame, direction)


def frames_of(path: Path) -> list[bytes]:
    """16 kHz, mono, 16 bits, in pieces of 10 ms."""
    with wave.open(str(path)) as speech:
        data = speech.readframes(speech.getnframes())
    return [data[at : at + 2 * FRAME] for at in range(0, len(data) - 2 * FRAME + 1, 2 * FRAME)]


async def feed(worker: PipelineWorker, frames: list[bytes], tracks: int, seconds: float) -> int:
    """Offers a frame of each track every 10 ms; `pts` is when it was due."""
    due, offered = time.monotonic_ns(), 0
    for number in range(int(seconds * RATE / FRAME)):
        due += FRAME * 1_000_000_000 // RATE
        await asyncio.sleep(max(due - time.monotonic_ns(), 0) / 1e9)
        for track in range(tracks):
            sound = frames[(number + track * len(frames) // tracks) % len(frames)]
            frame = InputAudioRawFrame(audio=sound, sample_rate=RATE, num_channels=1)
            frame.pts = due
            await worker.queue_frame(frame)
            offered += 1
    return offered


async def main(path: Path, tracks: int, seconds: float) -> None:
    ages = Ages()
    pipeline = Pipeline([VADProcessor(vad_analyzer=SileroVADAnalyzer(sample_rate=RATE)), ages])
    worker = PipelineWorker(pipeline, params=PipelineParams(audio_in_sample_rate=RATE), idle_timeout_secs=None)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await asyncio.sleep(2.0)  # until the model is loaded
    cpu_s = time.process_time()
    offered = await feed(worker, frames_of(path), tracks, seconds)
    cpu_s, in_time = time.process_time() - cpu_s, len(ages.ages)
    until = time.monotonic() + PATIENCE_S
    while len(ages.ages) < offered and time.monotonic() < until:
        await asyncio.sleep(0.1)
    await worker.queue_frame(EndFrame()) if len(ages.ages) == offered else await worker.cancel()
    await asyncio.wait([running], timeout=PATIENCE_S)
    found = {"version": __version__, "offered": offered, "behind": offered - in_time, "cpu_s": cpu_s}
    print(json.dumps(found | {"ages_ms": [round(age, 3) for _, age in sorted(ages.ages)]}))


if __name__ == "__main__":
    logger.remove()
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
