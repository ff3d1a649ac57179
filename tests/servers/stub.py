"""A small OpenAI-compatible server in this process that misbehaves on request, for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """What the server does with one request.

    ``wait`` is an event to wait for before answering, ``cut`` closes the connection after half of the body,
    ``drop`` closes it without a word.
    """

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: threading.Event | None = None
    cut: bool = False
    drop: bool = False


def said(text, finish_reason="stop", *, calls=None, **message):
    """Return a chat completion that says ``text``; ``calls`` are names and JSON arguments of tool calls."""
    message = {"role": "assistant", "content": text, **message}
    if calls:
        message["tool_calls"] = [
            {"id": f"theirs-{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return {"object": "chat.completion", "choices": [choice], "usage": usage}


class StubServer:
    """Answers request number n with ``script[n]``, and those after the script with ``respond(body)``.

    ``requests`` notes path, headers and body of every request; ``most`` is how many were open at once.
    """

    def __init__(self, *script: Answer, respond: Callable[[dict], object] | None = None, models=("stub",)):
        self.script, self.respond, self.models = list(script), respond or (lambda body: said("ok")), models
        self.requests: list[tuple[str, dict, dict]] = []
        self.open = self.most = 0
        self._lock = threading.Lock()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send(Answer({"object": "list", "data": [{"id": name} for name in stub.models]}))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stub._lock:
                    number = len(stub.requests)
                    stub.requests.append((self.path, dict(self.headers), body))
                    stub.open += 1
                    stub.most = max(stub.most, stub.open)
                try:
                    answer = stub.script[number] if number < len(stub.script) else stub.respond(body)
                    self.send(answer if isinstance(answer, Answer) else Answer(answer))
                finally:
                    with stub._lock:
                        stub.open -= 1

            def send(self, answer):
                if answer.wait is not None:
                    answer.wait.wait(20)
                if answer.drop:
                    self.close_connection = True
                    return
                raw = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {"content-type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw[: len(raw) // 2] if answer.cut else raw)
                if answer.cut:
                    self.close_connection = True

            def log_message(self, format, *args):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        # A short poll, since shutdown waits for the end of one.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def bodies(self):
        return [body for _, _, body in self.requests]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
