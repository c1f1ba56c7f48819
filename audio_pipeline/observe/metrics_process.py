"""The process that serves metrics: `python -m audio_pipeline.observe.metrics_process PARENT_PID DESCRIPTOR`.

It has the listening socket from the supervisor and shares nothing else with it but the control socket (see
`metrics_source`): however many connect, no descriptor and no turn of the supervisor is theirs.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
from contextlib import suppress

from audio_pipeline.control.client import Client
from audio_pipeline.errors import ControlError
from audio_pipeline.host.parent import die_with_parent
from audio_pipeline.observe.metrics_source import MetricsSource
from audio_pipeline.observe.scrapes import Metrics, Scrapes

TURN_S = 1.0


def main() -> int:
    """Entry point; a line of JSON on standard input says where to ask, and which bearer token may."""
    die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what Ctrl-C means
    access = json.loads(sys.stdin.readline())
    source = MetricsSource(Client(access["endpoint"], access["token"]))
    with socket.socket(fileno=int(sys.argv[2])) as listener:
        scrapes = Scrapes(listener, Metrics(source.state, access["bearer"]))
        while True:
            scrapes.turn(TURN_S)
            with suppress(ControlError):  # it is too busy: the next scrape says so
                source.turn()


if __name__ == "__main__":
    sys.exit(main())
