"""An environment for the peers, made once: their dependencies are none of ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

PEERS = ("dora-rs==1.1.0", "dora-rs-cli==1.1.0", "ezmsg==3.9.0", "numpy>=2", "pyarrow>=20")


def peers_python(folder: Path) -> Path:
    """The interpreter that has dora-rs and ezmsg."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    check = [python, "-c", "import dora, ezmsg.core, pyarrow"]
    if subprocess.run(check, capture_output=True, check=False).returncode:
        print(f"fetching {', '.join(PEERS[:3])} into {folder}", file=sys.stderr)
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS], check=True)
    return python
