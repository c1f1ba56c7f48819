"""`python -m audio_pipeline` is the command `audio-pipeline`."""

from audio_pipeline.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
