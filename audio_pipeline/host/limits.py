"""What the system allows a process, looked at before it is too late to say so."""

from __future__ import annotations

import resource

from audio_pipeline.errors import PipelineError

FILES, FILES_A_NODE = 64, 8  # a supervisor's own, and what a node's process, socket, log and boards may take of it
PLENTY = 4_096


def allow_files(nodes: int) -> None:
    """Raises the limit of open files as far as it goes. PipelineError where that is not enough for so many nodes.

    ZeroMQ ends the process at a connection for which there is no file descriptor, so there has to be one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited, wanted = resource.RLIM_INFINITY, FILES + FILES_A_NODE * nodes
    most = PLENTY if hard == unlimited else min(hard, max(PLENTY, wanted))
    if soft != unlimited and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft != unlimited and soft < wanted:
        raise PipelineError(
            f"a process may open {soft} files here (ulimit -n), expected {wanted} or more for {nodes} nodes"
        )
