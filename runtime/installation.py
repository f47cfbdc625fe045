"""How this distribution was installed, and so how more of it is."""

from __future__ import annotations

import importlib.metadata


def install_hint(extra: str) -> str:
    """Return the command that installs an extra, as 'video', of this distribution.

    From an index by its name; from a checkout, or where only the folder was copied, by its path.
    """
    try:
        distribution = importlib.metadata.distribution("rrin-deploy")
        from_index = distribution.read_text("direct_url.json") is None  # PEP 610
    except importlib.metadata.PackageNotFoundError:
        from_index = False
    if from_index:
        return f"pip install 'rrin-deploy[{extra}]'"
    return f"pip install '.[{extra}]' in the folder of rrin-deploy"
