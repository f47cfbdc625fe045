"""`rrin-deploy`, and `python -m rrin_deploy`: signals first, for the imports take a while."""

from __future__ import annotations

from typing import NoReturn

from rrin_deploy.signals import ending_signals


def main() -> NoReturn:
    """Run the command line as a process of its own, and exit; see `rrin_deploy.cli.main`."""
    with ending_signals():
        from rrin_deploy.cli import main as run

        run()


if __name__ == "__main__":
    main()
