"""The machine's own jitter: a process that only sleeps to deadlines every 10 ms. `links_jitter.py SECONDS FILE`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from links_stage import Pace


def main() -> None:
    end, late = time.monotonic() + float(sys.argv[1]), []
    pace = Pace()
    while time.monotonic() < end:
        late.append(pace.wait())
    np.save(sys.argv[2], np.array(late, np.int64))


main()
