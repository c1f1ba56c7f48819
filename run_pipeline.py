"""The command `audio-pipeline` from a checkout: python run_pipeline.py configs/karaoke.yaml."""

from audio_pipeline.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
