"""An HTTP server on the loopback interface that does what a script says, for tests of faults."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Answer:
    """One answer: a status, a body (text, or plain data sent as JSON) and headers, after a delay in seconds."""

    body: Any = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    content_type: str = "application/json"

    def encoded(self) -> bytes:
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


class Reset(Answer):
    """Cuts the connection instead of answering."""


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it, ``at`` seconds of the monotonic clock."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


class ScriptedServer(ThreadingHTTPServer):
    """Gives the answers of a script one after the other, the last one again and again; keeps what was asked."""

    daemon_threads = True

    def __init__(self, script: Sequence[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.asked = list(script), list[Asked]()
        self.now, self.most = 0, 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            return self.script[min(len(self.asked), len(self.script)) - 1]

    def busy(self, change: int) -> None:
        with self.lock:
            self.now += change
            self.most = max(self.most, self.now)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedServer

    def do_POST(self) -> None:
        self.server.busy(1)
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        form = "urlencoded" in self.headers.get("content-type", "")
        body = dict(parse_qsl(sent.decode())) if form else json.loads(sent or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.take(Asked(self.path, headers, body, time.monotonic()))
        time.sleep(answer.delay_s)
        self.server.busy(-1)  # before the client has the answer, and may ask again
        if isinstance(answer, Reset):
            # Lingering for no time makes close() send RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        data = answer.encoded()
        self.send_response(answer.status)
        for name, value in {
            "content-type": answer.content_type,
            "content-length": str(len(data)),
            **answer.headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on standard error."""


@contextmanager
def serve(*script: Answer) -> Iterator[ScriptedServer]:
    """Run a server with that script while the block runs."""
    with ScriptedServer(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()


def completion(text: str | None = "Hello.", finish: str = "stop", **message: Any) -> Answer:
    """A chat completion as OpenAI sends it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Answer({"id": "c1", "object": "chat.completion", "choices": [choice], "usage": usage})


def message(text: str = "Hello.", stop: str = "end_turn") -> Answer:
    """A message as Anthropic sends it."""
    content = [{"type": "text", "text": text}] if text else []
    usage = {"input_tokens": 7, "output_tokens": 3}
    return Answer({"type": "message", "content": content, "stop_reason": stop, "usage": usage})


def failure(status: int, message: str = "no", **fields: Any) -> Answer:
    """An error as OpenAI and Anthropic send it."""
    headers = fields.pop("headers", {})
    return Answer({"error": {"message": message, **fields}}, status=status, headers=headers)
