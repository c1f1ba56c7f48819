"""How long a test waits for what must come.

A bound against a test that hangs, and no deadline: what comes late comes late because somebody else had the machine.
How soon something must come is measured by `make live`.
"""

PATIENCE_S = 600.0
