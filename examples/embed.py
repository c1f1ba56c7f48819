"""A program with a pipeline inside: plays a song, fades it out, and says what it recorded.

python examples/embed.py song.mp3
"""

import sys
from pathlib import Path

from audio_pipeline import Options, Pipeline
from audio_pipeline.control.events import LogEvent
from audio_pipeline.errors import PipelineError

GRAPH = """
version: 1
name: embedded
rate: 48000
nodes:
  song: {kind: file_source}
  mix: {kind: mixer, inputs: {song: {from: song, on_loss: silence}}}
  speaker: {kind: playback, device: auto, in: {from: mix, on_loss: silence}}
  rec: {kind: recorder, subtype: float32, inputs: {mix: {from: mix, policy: block}}}
"""


def fade_out(song: str, folder: Path | None = None) -> Pipeline:
    """Plays a song and turns it down by 6 dB every 0.1 s; returns the pipeline after its end. Raises PipelineError."""
    pipeline = Pipeline.loads(GRAPH, {"nodes.song.path": song}, Options(folder=folder))
    log = pipeline.events("log")
    with pipeline:
        pipeline.wait_playing()
        for gain_db in range(0, -61, -6):
            reply = pipeline.set("mix.gain_db", gain_db)
            print(f"{gain_db} dB from sample {reply.position} on")
            if pipeline.wait(0.1):  # the song was shorter
                break
        pipeline.wait(1.0)
    for event in log:
        if isinstance(event, LogEvent):
            print(event.message)
    return pipeline


def main() -> int:
    """Prints where the recording is, or in one sentence why there is none."""
    try:
        result = fade_out(sys.argv[1] if len(sys.argv) > 1 else "demo").result
    except PipelineError as error:
        print(f"embed: {error}", file=sys.stderr)
        return error.exit_code
    for path in result.tracks if result else ():
        print(f"recorded {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
