"""The process that serves metrics: `python -m audio_pipeline.control.metrics_process PARENT_PID DESCRIPTOR`.

It has the listening socket from the supervisor, asks it for the state over the control socket, and shares nothing
else with it: however many connect, no descriptor and no turn of the supervisor is theirs.
"""

from __future__ import annotations

import json
import signal
import socket
import sys

from audio_pipeline.control.client import Client
from audio_pipeline.host.parent import die_with_parent
from audio_pipeline.observe.prometheus import State
from audio_pipeline.observe.scrapes import Metrics, Scrapes

SCRAPE_S = 2.0
TURN_S = 1.0


def main() -> int:
    """Entry point; a line of JSON on standard input says where to ask, and which bearer token may."""
    die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what Ctrl-C means
    told = json.loads(sys.stdin.readline())
    client = Client(told["endpoint"], told["token"])

    def look() -> State:
        return client.state(SCRAPE_S)

    with socket.socket(fileno=int(sys.argv[2])) as listener:
        scrapes = Scrapes(listener, Metrics(look, told["bearer"]))
        while True:
            scrapes.turn(TURN_S)


if __name__ == "__main__":
    sys.exit(main())
