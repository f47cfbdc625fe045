"""`rrin-deploy`, and `python -m rrin_deploy`: signals first, for the imports take a while."""

from __future__ import annotations

import os
import signal

_STDERR = 2


def main() -> None:
    """Run the command line as a process of its own, and exit; see `rrin_deploy.cli.main`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Even what turns signals into an exit has to be imported, and this would be a traceback.
        signal.signal(signal.SIGINT, lambda number, _: os._exit(128 + number))
    _fill_standard()
    from rrin_deploy.signals import ending_signals

    with ending_signals():
        from rrin_deploy.cli import main as run

        run()


def _fill_standard() -> None:
    """Put nothing in place of closed standard streams, or a file would be opened as one of them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(descriptor)


if __name__ == "__main__":
    main()
