"""`rrin-deploy`, and `python -m rrin_deploy`: signals first, for the imports take a while."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line as a process of its own, and exit; see `rrin_deploy.cli.main`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Even what turns signals into an exit has to be imported, and this would be a traceback.
        signal.signal(signal.SIGINT, lambda number, _: os._exit(128 + number))
    from rrin_deploy.signals import ending_signals

    with ending_signals():
        from rrin_deploy.cli import main as run

        run()


if __name__ == "__main__":
    main()
