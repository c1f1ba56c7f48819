"""Every scenario in `features/`, through real processes."""

import pytest
from pytest_bdd import scenarios

pytestmark = pytest.mark.slow

scenarios("features")
