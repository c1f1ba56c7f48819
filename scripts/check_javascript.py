"""Check the types of the console's JavaScript with TypeScript, by the comments that state them.

TypeScript comes from npm, at the versions and checksums of `environments/typescript/package-lock.json`, into the user's
cache. Where there is no npm, or no network the first time, that is said and nothing is checked.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from audio_pipeline.home import CACHE

ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / "environments" / "typescript"
PROJECTS = ("tsconfig.page.json", "tsconfig.worklet.json")  # the types of both kinds of thread exclude each other
MANIFEST = ("package.json", "package-lock.json")


def folder() -> Path:
    """Where this lock's packages are; another lock has another folder."""
    digest = hashlib.sha256((LOCKED / MANIFEST[1]).read_bytes()).hexdigest()[:12]
    return CACHE.folder() / "envs" / f"typescript-{digest}"


def install(target: Path) -> str:
    """Why the packages cannot be had, in a sentence; empty where they are there now."""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm"
    target.mkdir(parents=True, exist_ok=True)
    for name in MANIFEST:
        shutil.copy(LOCKED / name, target / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shutil.rmtree(target / "node_modules", ignore_errors=True)
        return f"npm could not install it: {(done.stderr.strip().splitlines() or ['no reason given'])[0]}"
    (target / "stamp").touch()
    return ""


def check(target: Path) -> int:
    """The exit status of the compiler: 0 where all types fit."""
    compiler = target / "node_modules" / ".bin" / "tsc"
    types = ["--typeRoots", str(target / "node_modules" / "@types")]
    return max(subprocess.run([compiler, "-p", LOCKED / name, *types], check=False).returncode for name in PROJECTS)


def main() -> int:
    """Install once, then check."""
    target = folder()
    if not (target / "stamp").exists() and (why := install(target)):
        print(f"The types of the console's JavaScript are not checked: {why}")
        return 0
    return check(target)


if __name__ == "__main__":
    sys.exit(main())
