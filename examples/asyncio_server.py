"""Frames over HTTP: two PNGs in, the one between them out; asyncio alone, no framework.

python examples/asyncio_server.py [PORT [ARTIFACT]]
cat a.png b.png | curl --data-binary @- http://localhost:8000/ -o middle.png

It listens on this machine alone, for whoever can send it work can keep it busy.
"""

import asyncio
import re
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from media import interpolate_pair
from runtime import Interpolator, RrinError

WORKERS = 2  # frames that are made at once; each takes memory of its own
WAITING = 8  # requests that may wait for that, in memory; further ones are sent away
LARGEST = 64 * 2**20  # bytes of both PNGs
MOST_PIXELS = 2**24  # of each, for a small file may hold many
PATIENCE = 60  # seconds for a client to send its request
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Reply:
    """A status of HTTP, and what goes with it."""

    status: str
    body: bytes
    kind: str = "text/plain"


def made(interpolate: Interpolator, body: bytes) -> Reply:
    """Make the frame between two PNGs that follow each other."""
    second = body.find(PNG, len(PNG))
    if not body.startswith(PNG) or second < 0:
        return Reply("400 Bad Request", b"expected two PNGs, one behind the other\n")
    with TemporaryDirectory() as folder:
        before, after, middle = (Path(folder, f"{name}.png") for name in ("0", "1", "middle"))
        before.write_bytes(body[:second])
        after.write_bytes(body[second:])
        try:
            interpolate_pair(interpolate, before, after, middle, max_pixels=MOST_PIXELS)
        except RrinError as error:  # such as of two sizes, or a PNG that is damaged
            line = str(error).replace(f"{folder}/", "")
            return Reply("422 Unprocessable Content", f"{line}\n".encode())
        return Reply("200 OK", middle.read_bytes(), "image/png")


class Server:
    """Answers requests.

    It takes a body into memory only when there is room for it, so that clients wait, and not this.
    """

    def __init__(self, interpolate: Interpolator, threads: Executor) -> None:
        self._make = partial(made, interpolate)
        self._threads = threads
        self._taken = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the request of a connection, and close it."""
        try:
            reply = await self._reply(reader)
            head = f"HTTP/1.1 {reply.status}\r\nContent-Type: {reply.kind}\r\n"
            head += f"Content-Length: {len(reply.body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + reply.body)
            await writer.drain()
        except (EOFError, asyncio.LimitOverrunError, ConnectionError, asyncio.TimeoutError):
            pass  # the client went away or fell silent, or speaks no HTTP
        except asyncio.CancelledError:
            pass  # this ends
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader) -> Reply:
        request = await asyncio.wait_for(self._request(reader), PATIENCE)
        if isinstance(request, Reply):
            return request
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._make, request)
        finally:
            self._taken -= 1

    async def _request(self, reader: asyncio.StreamReader) -> bytes | Reply:
        """Read a request, and return its body, for which a place is taken; or why it is not."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"^content-length: *(\d{1,12})\r$", head, re.I | re.M)
        if not head.startswith("POST ") or not length:
            return Reply("400 Bad Request", b"expected a POST of two PNGs, with its length\n")
        if int(length[1]) > LARGEST:
            return Reply("413 Content Too Large", f"expected {LARGEST} bytes at most\n".encode())
        if self._taken >= WORKERS + WAITING:
            return Reply("503 Service Unavailable", b"busy; try again later\n")
        self._taken += 1
        try:
            return await reader.readexactly(int(length[1]))
        except BaseException:
            self._taken -= 1
            raise


async def serve(interpolate: Interpolator, port: int) -> None:
    """Answer until it is cancelled; port 0 takes one that is free."""
    with ThreadPoolExecutor(WORKERS) as threads:
        server = await asyncio.start_server(Server(interpolate, threads).answer, "localhost", port)
        print(f"listens on port {server.sockets[0].getsockname()[1]}", flush=True)
        async with server:
            await server.serve_forever()


def main(port: str = "8000", artifact: str | None = None) -> int:
    """Serve until Ctrl-C."""
    with Interpolator(artifact) as interpolate, suppress(KeyboardInterrupt):
        asyncio.run(serve(interpolate, int(port)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except RrinError as error:  # such as of an artifact that is not there
        sys.exit(f"error: {error}")
