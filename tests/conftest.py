"""What every test shares: how much of a long proof is run, and hypothesis settings for busy machines."""

import os
from pathlib import Path

import hypothesis
import pytest

from audio_pipeline import threads
from tests.proof_table import ProofTable

# programs of their own, which need atheris, coqui-tts
collect_ignore = ["fuzz/guided.py", "proofs/coqui_small.py"]

# Two shared cores stall for longer than any limit on an example or on its making that would still mean something.
UNHURRIED = hypothesis.settings(
    deadline=None, max_examples=50, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("default", UNHURRIED)
hypothesis.settings.register_profile("ci", UNHURRIED, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --proof-scale and --proof-table."""
    parser.addoption("--proof-scale", type=float, default=1.0, help="share of a long proof to run")
    parser.addoption("--proof-table", type=Path, help="write what the proofs print into this Markdown file")


def _fail_the_test(error: BaseException) -> None:
    """In place of the end of the process, which would be that of all tests: pytest reports what a thread raises."""
    raise error


def pytest_configure(config: pytest.Config) -> None:
    """Watch the proofs where a table is wanted."""
    threads.end_process = _fail_the_test
    path = config.getoption("--proof-table")
    if path:
        config.pluginmanager.register(ProofTable(path, config.getoption("--proof-scale")))


@pytest.fixture(scope="session")
def proof_scale(pytestconfig: pytest.Config) -> float:
    """Factor in (0, 1] for the duration or the count of a test marked `proof`."""
    scale: float = pytestconfig.getoption("--proof-scale")
    if not 0 < scale <= 1:
        raise pytest.UsageError(f"--proof-scale: expected a share above 0 and up to 1, got {scale}")
    return scale
