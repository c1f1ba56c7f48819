"""Runs a module that ends with its parent: `python -m audio_pipeline.service.child_main PARENT MODULE [ARG ...]`."""

from __future__ import annotations

import os
import runpy
import sys

from audio_pipeline.host.parent import die_with_parent

if __name__ == "__main__":
    parent, module, *arguments = sys.argv[1:]
    die_with_parent(int(parent))
    os.umask(0o077)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
