"""A bad network on loopback: a proxy between S3 clients and the real server that breaks requests.

Each request draws from a seeded generator whether it is broken and how. Clients sign for the
proxy's address and the ``Host`` header is passed on as it is, so the server accepts signatures.
"""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

KINDS = (
    *("refuse", "cut", "lose", "reset", "truncate"),  # the connection breaks
    *("slow_down", "server_error", "delay", "trickle"),
)
_DELAY_S = 0.1
_TRICKLE_S = 0.2  # between bytes
_ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>by the proxy</Message></Error>'
_ERRORS = {"slow_down": (503, "SlowDown"), "server_error": (500, "InternalError")}


@dataclass(frozen=True)
class _Message:
    """A request or a response: its head without the empty line, its headers and its body."""

    head: bytes
    headers: dict[str, str]
    body: bytes


@dataclass
class FaultyProxy:
    """Stands before an HTTP server; use it as a context manager.

    Attributes:
        upstream: URL of the real server.
        rate: Share of requests that are broken, see :meth:`breaking`.
        kinds: How: ``refuse`` closes before the server sees the request, ``cut`` when it has seen
            half of the body, ``lose`` after it has done the work, ``reset`` and ``truncate`` in
            the middle of the response; ``slow_down`` and ``server_error`` answer 503 and 500,
            ``delay`` waits a moment, ``trickle`` sends a byte of the body at a time.
        methods: Only requests of these methods are broken; all of them if empty.
        seed: Of the draws.
        seen: Requests by fault; ``none`` are those passed on whole.
    """

    upstream: str
    rate: float = 0.0
    kinds: Sequence[str] = KINDS
    methods: Sequence[str] = ()
    seed: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> FaultyProxy:
        self.stopping = threading.Event()
        self._draws = random.Random(self.seed)
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.proxy = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where clients find the proxy."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def breaking(self, rate: float, *kinds: str, methods: Sequence[str] = ()) -> Iterator[None]:
        """Break requests in these ways for a while; in all ways if none is named."""
        self.rate, self.kinds, self.methods = rate, kinds or KINDS, methods
        try:
            yield
        finally:
            self.rate = 0.0

    def draw(self, method: str) -> str:
        """How the next request is broken."""
        with self._lock:
            broken = self._draws.random() < self.rate
            fault = self._draws.choice(self.kinds) if broken else "none"
            if self.methods and method not in self.methods:
                fault = "none"
            self.seen[fault] += 1
        return fault


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64
    proxy: FaultyProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are no news."""


class _Connection(socketserver.StreamRequestHandler):
    """One client's connection: passes requests on, one after the other, or breaks them."""

    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        target = urlsplit(self.server.proxy.upstream)
        with socket.create_connection((target.hostname, target.port)) as upstream:
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with upstream.makefile("rb") as answers:
                while self._pass_on(upstream, answers):
                    pass

    def _pass_on(self, upstream: socket.socket, answers: BinaryIO) -> bool:
        """Serve one request; whether the connection may be used again."""
        request = _read(self.rfile, client=self.connection)
        if request is None:
            return False
        method = request.head.split(b" ", 1)[0].decode()
        fault = self.server.proxy.draw(method)
        if fault in _ERRORS:
            status, code = _ERRORS[fault]
            body = "" if method == "HEAD" else _ERROR.format(code=code)
            head = f"HTTP/1.1 {status} {code}\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write((head + body).encode())
            return True
        if fault == "refuse":
            return False
        upstream.sendall(request.head + b"\r\n\r\n")
        if fault == "cut":
            upstream.sendall(request.body[: len(request.body) // 2])
            return False
        upstream.sendall(request.body)
        answer = _read(answers, head_only=method == "HEAD")
        if answer is None or fault == "lose":
            return False
        return self._answer(answer, fault)

    def _answer(self, answer: _Message, fault: str) -> bool:
        half = answer.body[: len(answer.body) // 2]
        head = answer.head + b"\r\n\r\n"
        if fault == "delay":
            self.server.proxy.stopping.wait(_DELAY_S)
        if fault in {"reset", "truncate"}:
            self.wfile.write(head[: len(head) // 2] if not answer.body else head + half)
            if fault == "reset":
                time.sleep(0.01)  # the client sees the first half before the reset
                linger = struct.pack("ii", 1, 0)  # none: closing resets the connection
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.rfile.close()
                self.connection.close()
            return False
        if fault == "trickle" and answer.body:
            self.wfile.write(head)
            for place in range(len(answer.body)):
                if self.server.proxy.stopping.wait(_TRICKLE_S):
                    return False
                self.wfile.write(answer.body[place : place + 1])
            return True
        self.wfile.write(head + answer.body)
        return answer.headers.get("connection") != "close"


def _read(file: BinaryIO, *, client: socket.socket | None = None, head_only: bool = False) -> Any:
    """The next message of a connection; None at its end. Answers of 1xx are passed over."""
    lines = []
    while (line := file.readline()) != b"\r\n":
        if not line:
            return None
        lines.append(line.rstrip(b"\r\n"))
    pairs = (line.decode("latin-1").partition(":") for line in lines[1:])
    headers = {name.lower(): value.strip().lower() for name, _, value in pairs}
    if headers.get("expect") == "100-continue" and client is not None:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if lines[0].startswith(b"HTTP/1.1 1"):
        return _read(file, head_only=head_only)
    no_body = head_only or lines[0].split(b" ")[1] in {b"204", b"304"}
    body = b"" if no_body else _body(file, headers)
    return _Message(b"\r\n".join(lines), headers, body)


def _body(file: BinaryIO, headers: dict[str, str]) -> bytes:
    """A message's body as it is on the wire, chunked or not."""
    if headers.get("transfer-encoding") != "chunked":
        return file.read(int(headers.get("content-length", 0)))
    parts = []
    while size := int((line := file.readline()).split(b";")[0], 16):
        parts += [line, file.read(size + 2)]
    parts.append(line)
    while line and line != b"\r\n":  # trailers, and the empty line after them
        line = file.readline()
        parts.append(line)
    return b"".join(parts)
