"""Fetch again what the console carries of npm's packages, and compare it with what is here.

Each lock file lists packages with version and licence, and for each file its name in the package and its SHA-256.
`python scripts/vendor.py` compares and prints differences; `--write` puts the files of the locked versions in place and
writes the checksums they have, which is the way to a new version: change it in the lock, write, read the diff.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = (
    ROOT / "audio_pipeline" / "service" / "console" / "vendor" / "lock.json",
    ROOT / "tests" / "service" / "console" / "vendor" / "lock.json",
)


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def fetch(name: str, version: str) -> tarfile.TarFile:
    """The package as npm's registry has it. Exits with one sentence where it cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is needed to fetch packages: apt-get install npm")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{name}@{version}", "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or not packed:
            sys.exit(
                f"{name} {version} cannot be fetched: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}"
            )
        return tarfile.open(fileobj=io.BytesIO(packed[0].read_bytes()))


def content(package: tarfile.TarFile, name: str) -> bytes:
    """A file of a package. Exits where it is not there."""
    try:
        found = package.extractfile(f"package/{name}")
    except KeyError:
        found = None
    if found is None:
        sys.exit(f"the package has no file {name}")
    return found.read()


def differences(folder: Path, package: dict[str, Any], write: bool) -> Iterator[str]:
    """One line for each file that is not as npm has it."""
    packed = fetch(package["name"], package["version"])
    for name, entry in package["files"].items():
        data = content(packed, entry["from"])
        if write:
            (folder / name).write_bytes(data)
            entry["sha256"] = sha256(data)
        elif not (folder / name).exists() or (folder / name).read_bytes() != data or entry["sha256"] != sha256(data):
            yield f"{folder.relative_to(ROOT) / name} is not {entry['from']} of {package['name']} {package['version']}"


def main() -> int:
    """0 where all files are as npm has them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="put the files in place and write their checksums")
    write = parser.parse_args().write
    found = []
    for lock in LOCKS:
        locked = json.loads(lock.read_text(encoding="utf-8"))
        found += [line for package in locked["packages"] for line in differences(lock.parent, package, write)]
        if write:
            lock.write_text(json.dumps(locked, indent=2) + "\n", encoding="utf-8")
    print("\n".join(found) if found else "All vendored files are as npm has them.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
