"""`python -m tests.rrin_deploy.nodes`: a Ray cluster of machines that share no folder.

Each node is a network namespace with an empty /tmp of its own; the command runs on a head without
CPUs, so that every segment is made elsewhere. One node dies in the middle. It needs Linux and root.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.rrin_deploy.kills import ROOT, command, decoded, source_of

_HEAD, _PORT = "10.77.0.1", 6399
_RAY = str(Path(sys.executable).with_name("ray"))
# gRPC would ask a proxy for the nodes.
_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
    "PYTHONPATH": str(ROOT),
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def run(*line: str) -> None:
    subprocess.run(line, check=True, env=_ENVIRONMENT, stdout=subprocess.DEVNULL)


@contextmanager
def network(nodes: int) -> Iterator[None]:
    """Set up a bridge and a namespace for each node."""
    bridge = "rrin-bridge"
    names = [f"rrin-node{number}" for number in range(nodes)]
    try:
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "addr", "add", f"{_HEAD}/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        for number, name in enumerate(names):
            run("ip", "netns", "add", name)
            run("ip", "link", "add", f"rrin-o{number}", "type", "veth", "peer", f"rrin-i{number}")
            run("ip", "link", "set", f"rrin-o{number}", "master", bridge, "up")
            run("ip", "link", "set", f"rrin-i{number}", "netns", name)
            within = ("ip", "-n", name)
            run(*within, "addr", "add", f"10.77.0.{number + 2}/24", "dev", f"rrin-i{number}")
            run(*within, "link", "set", f"rrin-i{number}", "up")
            run(*within, "link", "set", "lo", "up")
        yield
    finally:
        with suppress(subprocess.CalledProcessError):
            for name in names:
                run("ip", "netns", "del", name)
            run("ip", "link", "del", bridge)


def node(number: int) -> subprocess.Popen[bytes]:
    """Start a node that sees no file of the head's."""
    joins = (
        f"mount -t tmpfs none /tmp && exec {_RAY} start --block --num-cpus 1 --num-gpus 0 "
        f"--address {_HEAD}:{_PORT} --node-ip-address 10.77.0.{number + 2}"
    )
    return subprocess.Popen(
        ["ip", "netns", "exec", f"rrin-node{number}", "unshare", "--mount", "--pid", "--fork",
         "--mount-proc", "sh", "-c", joins],
        env=_ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def main() -> None:
    """Make a video without a cluster, and by one of which a node dies; compare."""
    with tempfile.TemporaryDirectory(dir="/tmp") as text, network(2):
        folder = Path(text)
        source, whole, output = source_of(folder), folder / "whole.mkv", folder / "out.mkv"
        run(*command(source, whole, "ffv1"))
        run(_RAY, "start", "--head", "--num-cpus", "0", "--num-gpus", "0", "--port", str(_PORT),
            "--node-ip-address", _HEAD, "--include-dashboard", "false")  # fmt: skip
        nodes = [node(number) for number in range(2)]
        try:
            time.sleep(10)
            line = command(source, output, "ffv1", "--ray", f"{_HEAD}:{_PORT}")
            made = subprocess.Popen(line, env=_ENVIRONMENT)
            first = output.with_name("out.mkv.partial") / "segment-00000.packets"
            while made.poll() is None and not first.exists():
                time.sleep(0.02)
            os.killpg(nodes[0].pid, signal.SIGKILL)
            print("killed a node when the first segment was made")
            if made.wait(300):
                raise SystemExit("failed: the command did")
        finally:
            for each in nodes:
                with suppress(ProcessLookupError):
                    os.killpg(each.pid, signal.SIGKILL)
            run(_RAY, "stop", "--force")
        if decoded(output) != decoded(whole):
            raise SystemExit("failed: other frames than without a cluster")
        print(f"the same {len(decoded(whole))} frames as without a cluster")


if __name__ == "__main__":
    main()
