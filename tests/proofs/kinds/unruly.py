"""Passes sound on until it is told to misbehave: `do` takes effect when it is set, not in the successor."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from audio_pipeline.context import Context
from audio_pipeline.frame import Samples
from audio_pipeline.node import Filter
from audio_pipeline.settings import setting

MB = 1 << 20


@dataclass(frozen=True)
class Settings:
    do: str = setting("", "hang, eat, spawn, crash", live=True)
    gain: float = setting(1.0, "factor", live=True)


class Unruly(Filter):
    Settings = Settings

    def open(self, ctx: Context) -> None:
        self._eaten: list[Any] = []
        self._do = ""

    def on_param(self, name: str, value: Any, position: int, ctx: Context) -> None:
        if name == "do":
            self._do = str(value)
        if value == "spawn":  # it leaves our process group, as a careless library may
            code = "import time; x = bytearray(100 << 20); x[::4096] = b'1' * len(x[::4096]); time.sleep(1000)"
            child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            ctx.gauge("spawned", child.pid)

    def filter(self, x: Samples) -> Samples:
        if self._do == "hang":
            time.sleep(1000)
        if self._do == "crash":
            raise ValueError("asked to")
        if self._do == "eat":
            self._eaten.append(np.ones(5 * MB, np.uint8))
        return x * np.float32(self.settings.gain)


NODE = Unruly
