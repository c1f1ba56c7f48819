"""The Node.js that Playwright's wheel brings: nothing has to be installed for the console's unit tests."""

from __future__ import annotations

from pathlib import Path

import playwright

NODE = Path(playwright.__file__).parent / "driver" / "node"
