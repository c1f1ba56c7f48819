"""`audio-pipeline run` from a checkout: python run_pipeline.py configs/karaoke.yaml."""

import sys

from audio_pipeline.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
