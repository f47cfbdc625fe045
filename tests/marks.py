"""What of a parametrized test is left to `make test-long`."""

from collections.abc import Iterable
from typing import Any

import pytest


def others_long(values: Iterable[Any], quick: int = 1) -> list[Any]:
    """Return a test's parameters, all but the first `quick` of them marked as long.

    A tuple is a value for each of several parameters.
    """
    everything = [*values]
    first, others = everything[:quick], everything[quick:]
    return [
        *first,
        *(
            pytest.param(*(each if isinstance(each, tuple) else (each,)), marks=pytest.mark.long)
            for each in others
        ),
    ]
