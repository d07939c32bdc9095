"""A small run of shifted answers, as the probe `shift` would leave it, and a server of replies."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mdlm_probe.core.csv_text import text_of
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.core.sheet import Sheet
from mdlm_probe.prompts import texts

CELL = (
    *("prompts", "lexicon", "task", "prompt", "length", "steps", "block", "order"),
    *("temperature", "eos", "cache", "seed", "intervention", "frac"),
)
COLUMNS = ("model", *CELL, "answer", "nll", "scorer_tokens")


def rows(prompts=3, fracs=(0.1, 0.2), interventions=("shift",), seeds=(0,), model="m", **changed):
    """Rows of a run on the small language; every answer differs, nll rises with the fraction."""
    out = []
    for text in texts.load("decay", "small")[:prompts]:
        for seed in seeds:
            for intervention, frac in [("none", 0.0)] + [
                (i, f) for i in interventions for f in fracs
            ]:
                out.append(
                    {"model": model, "prompts": "decay", "lexicon": "small", "task": text.task}
                    | {"prompt": text.id, "length": 8, "steps": 8, "block": 8}
                    | {"order": "confidence", "temperature": 0.0, "eos": "end", "cache": "none"}
                    | {"seed": seed, "intervention": intervention, "frac": frac}
                    | {"answer": f"\n{text.id} \\n {intervention} {frac}, {seed}"}
                    | {"nll": 10.0 + frac, "scorer_tokens": 5}
                    | changed
                )
    return out


def write(folder, lines=None, finished=True, model="m", **config):
    """A run folder that holds these rows."""
    lines = rows(model=model) if lines is None else lines
    name = f"shift__{model}"
    told = {"probe": "shift", "model": model, "options": {"prompts": "decay", "lexicon": "small"}}
    with RunFolder.locked(folder, "made") as run:
        run.begin(name, {"config": told | config})
        cells = [tuple(text_of(line[c]) for c in CELL) for line in lines]
        sheet = Sheet({run.path(name): COLUMNS}, cells, 1)
        for line in lines:
            sheet.append([[line]], 1)
        sheet.close()
        if finished:
            run.update(name, status="finished", size=run.path(name).stat().st_size)
    return folder


def chat(content, finish="stop", usage=(7, 3), **message):
    """A chat completion."""
    told = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else None
    return {
        "id": "x",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": told,
    }


class Server:
    """An OpenAI-compatible server on loopback that behaves as badly as it is told.

    Args:
        reply: from a request's user message and how often it came before, to a status, a body
            (JSON, bytes, None to cut the connection) and headers; a number is a pause in seconds.
        models: the status of GET /v1/models.
    """

    def __init__(self, reply, models=200):
        self.asked, self.keys, self.checks = [], [], 0
        self._lock, server = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                server.checks += 1
                self.send(models, {"object": "list", "data": []})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body["messages"][-1]["content"]
                with server._lock:
                    before = server.asked.count(text)
                    server.asked.append(text)
                    server.keys.append(self.headers.get("Authorization"))
                    server.last = body
                self.send(*reply(text, before))

            def send(self, status, body, headers=(), pause=0.0):
                time.sleep(pause)
                if body is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    for name, value in headers:
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:  # who asked has gone
                    self.close_connection = True

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self):
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
