"""The signals that end a program: what is begun has to be taken back, or finished, before."""

from __future__ import annotations

import signal

# A terminal that closes sends SIGHUP, which Windows does not have.
ENDING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
