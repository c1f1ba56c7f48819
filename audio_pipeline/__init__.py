"""Audio as a graph of supervised processes.

Nothing that this package imports may send anything home. ONNX Runtime (since 1.29, on Linux) queues usage events in a
database below the user's cache folder and looks its collector up, unless this variable is set before its import;
Hugging Face's libraries, which the extra `coqui` brings, read the two others. Child processes inherit them.
"""

import os

for _switch in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_switch, "1")
