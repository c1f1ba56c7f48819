#!/usr/bin/env python3
"""Runs a command beside processes that want every core: `scripts/busy.py 8 make test`. Its exit code is the command's.

With nothing but the number it keeps the machine busy until Ctrl-C.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence

BUSY = "while True: sum(range(100_000))"


def main(words: Sequence[str]) -> int:
    """Starts the load, runs the command, ends the load."""
    if not words or not words[0].isdigit():
        sys.exit("usage: busy.py PROCESSES [COMMAND...]")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    load = [subprocess.Popen([sys.executable, "-S", "-c", BUSY]) for _ in range(int(words[0]))]
    try:
        return subprocess.call(words[1:]) if words[1:] else _forever()
    except KeyboardInterrupt:
        return 130
    finally:
        for process in load:
            process.kill()
            process.wait()


def _forever() -> int:
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
