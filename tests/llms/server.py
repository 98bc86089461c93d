"""A real HTTP server on loopback that speaks the chat protocol, with faults to order."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = Callable[["Handler"], None]
"""Answers one request in a wrong way."""
Reply = Callable[[dict[str, Any]], dict[str, Any]]
"""The request's body -> the reply's body."""


def echo(body: dict[str, Any]) -> dict[str, Any]:
    """The user message backwards; ten tokens."""
    return told(str(body["messages"][-1]["content"])[::-1])


def told(text: Any, tokens: int = 10, **choice: Any) -> dict[str, Any]:
    """A reply with one choice."""
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **choice}],
        "usage": {"total_tokens": tokens},
    }


def log_probabilities(**tokens: float) -> dict[str, Any]:
    """A reply that tells its most likely first tokens."""
    top = [{"token": token, "logprob": value} for token, value in tokens.items()]
    return told("x", logprobs={"content": [{"token": "x", "logprob": 0.0, "top_logprobs": top}]})


@dataclass
class Server:
    """What the server is told to do, and what it saw. ``faults`` are used up one per request."""

    reply: Reply = echo
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most_at_once: int = 0
    port: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][-1]["content"] for body in self.bodies]


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    told: Server

    def do_POST(self) -> None:
        server = self.told
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server._lock:
            server._now += 1
            server.most_at_once = max(server.most_at_once, server._now)
            server.bodies.append({"path": self.path, **body})
            server.headers.append(dict(self.headers))
            server.times.append(time.monotonic())
            fault = server.faults.pop(0) if server.faults else None
        try:
            time.sleep(server.seconds)
            if fault is not None:
                fault(self)
            else:
                self.send(200, server.reply(body))
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with server._lock:
                server._now -= 1

    def send(self, status: int, body: Any, **headers: str) -> None:
        """A reply with JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Nothing on the terminal."""


@contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """A server that runs while the block does."""
    state = Server(**settings)
    handler = type("OneServer", (Handler,), {"told": state})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    http.daemon_threads = True
    state.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def status(code: int, message: str = "no", error: dict[str, Any] | None = None, **headers: str) -> Fault:
    """An error in the protocol's form."""
    return lambda handler: handler.send(code, {"error": {"message": message, **(error or {})}}, **headers)


def body(content: Any) -> Fault:
    """Status 200 with this body."""
    return lambda handler: handler.send(200, content)


def silence(seconds: float) -> Fault:
    """No answer for some time."""
    return lambda handler: time.sleep(seconds)


def cut_body(handler: Handler) -> None:
    """Half a body, then the connection is closed."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [')
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.close()


def no_reply(handler: Handler) -> None:
    """The connection is closed without a word."""
    handler.close_connection = True
    handler.connection.close()
