"""The connection to a Ray cluster: made, asked what it has, and what its tasks gave."""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from runtime.errors import BackendError, RrinError, first_line

LOCAL = "local"
RETRIES = 10  # of a task whose node dies


def connect(address: str) -> None:
    """Connect this process to a cluster; see `Cluster`.

    Raises:
        BackendError: there is none.
    """
    if "://" in address:
        raise BackendError(
            f"{address}: the sources are read on this machine, which has to be a node of the "
            "cluster; run the command on one, with --ray auto"
        )
    # No word of it goes anywhere.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A process keeps an engine on the GPU that it was given first; see `cluster_work`.
    environment = {"env_vars": {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}}
    # Ray puts a handler of its own in place; only the main thread has any.
    main = threading.current_thread() is threading.main_thread()
    ours = signal.getsignal(signal.SIGTERM) if main else None
    try:
        if address not in (LOCAL, "auto"):
            _knock(address)
        ray.init(
            address=address,
            runtime_env=environment,
            log_to_driver=False,
            logging_level="CRITICAL",
            include_dashboard=False if address == LOCAL else None,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise BackendError(
            f"no Ray cluster at {address}: {first_line(error)}; start one with `ray start --head`, "
            "or take --ray local"
        ) from error
    finally:
        if ours is not None:
            signal.signal(signal.SIGTERM, ours)


def _knock(address: str) -> None:
    """Raise a ConnectionError or ValueError where nobody answers, which takes Ray minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("expected local, auto, or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error


def most(resource: str) -> float:
    """Return how much of a resource the node has that has most of it."""
    found = [node["Resources"].get(resource, 0) for node in ray.nodes() if node["Alive"]]
    return max(found, default=0)


def result(ref: ray.ObjectRef) -> Any:
    """Return what a task gave.

    Raises:
        RrinError, OSError: that it raised.
        BackendError: it could not run.
    """
    try:
        return ray.get(ref)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, (RrinError, OSError)):
            raise cause from None
        raise BackendError(
            f"a node of the cluster failed: {type(cause).__name__}: {first_line(cause)}; every "
            "node needs the same rrin-deploy, with what the artifact's backend needs"
        ) from error
    except RayActorError as error:
        raise BackendError(
            f"the process that hands out the source was ended: {first_line(error)}"
        ) from error
    except RayError as error:
        raise BackendError(
            f"a node of the cluster was ended {RETRIES + 1} times by this segment, or left no "
            f"result: {first_line(error)}"
        ) from error
