"""A Hugging Face Hub on this machine: as much of its HTTP interface as pushing a data set takes."""

import base64
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

TOKEN = "hf_thetokenthatmaywrite"
OID = "0" * 40


class FakeHub:
    """The repositories of data sets.

    Attributes:
        repos: by OWNER/NAME: whether each is private, and its files' contents by name.
        asked: method and path of every request.
        broken: what ends the path of requests that the Hub answers with 500; "": none.
    """

    def __init__(self):
        self.repos, self.asked, self.broken, self.url = {}, [], "", ""

    def add(self, repo, *, private, files=None):
        self.repos[repo] = {"private": private, "files": dict(files or {})}

    def files(self, repo):
        return self.repos[repo]["files"]


@contextmanager
def served(monkeypatch, tmp_path, token=TOKEN):
    """A Hub that huggingface_hub talks to, with this token in the environment; "" for none."""
    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    often = {"poll_interval": 0.01}  # so soon it ends: half a second would be most of a test
    thread = threading.Thread(target=server.serve_forever, kwargs=often, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    pointed_at(hub.url, monkeypatch, tmp_path, token)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pointed_at(url, monkeypatch, tmp_path, token=TOKEN):
    """Lets huggingface_hub talk to an address, with this token and no other."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)


class Handler(BaseHTTPRequestHandler):
    """Answers as the Hub does."""

    hub: FakeHub

    def do_GET(self):
        self._answer("GET")

    def do_HEAD(self):
        self._answer("HEAD")

    def do_POST(self):
        self._answer("POST")

    def log_message(self, *told):
        """Nothing on the screen."""

    def _answer(self, method):
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.asked.append((method, path))
        if self.hub.broken and path.endswith(self.hub.broken):
            self._send(500, {"error": f"broken, says the Hub to Bearer {TOKEN}"})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(401, {"error": "Invalid credentials in Authorization header"})
        elif path == "/api/whoami-v2":
            self._send(200, {"name": "me", "type": "user", "orgs": []})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := re.fullmatch(r"/(?:api/)?datasets/([^/]+/[^/]+)(.*)", path):
            self._of_repo(found[1], found[2], body)
        else:
            self._send(404, {"error": path})

    def _create(self, asked):
        repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if repo in self.hub.repos:
            told = {"error": "You already created this dataset repo"}
            self._send(409, told | {"url": f"{self.hub.url}/datasets/{repo}"})
            return
        self.hub.add(repo, private=asked.get("private", asked.get("visibility") == "private"))
        self._send(200, {"url": f"{self.hub.url}/datasets/{repo}", "name": repo})

    def _of_repo(self, repo, rest, body):
        if repo not in self.hub.repos:
            self._send(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return
        files = self.hub.files(repo)
        if rest.startswith(("/resolve/main/", f"/resolve/{OID}/")):
            name = rest.split("/", 3)[3]
            if name not in files:
                self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
                return
            told = {"X-Repo-Commit": OID, "ETag": f'"{abs(hash(files[name]))}"'}
            self._send(200, files[name], told)
        elif rest.startswith("/preupload/"):
            asked = json.loads(body)["files"]
            modes = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in asked
            ]
            self._send(200, {"files": modes})
        elif rest.startswith("/commit/"):
            lines = [json.loads(line) for line in body.splitlines()]
            for one in (line["value"] for line in lines if line["key"] == "file"):
                files[one["path"]] = base64.b64decode(one["content"])
            url = f"{self.hub.url}/datasets/{repo}/commit/{OID}"
            self._send(200, {"success": True, "commitOid": OID, "commitUrl": url})
        elif rest.startswith("/tree/"):
            self._send(200, [{"type": "file", "path": n, "size": 1, "oid": OID} for n in files])
        else:
            siblings = [{"rfilename": name} for name in files]
            told = {"id": repo, "private": self.hub.repos[repo]["private"], "sha": OID}
            self._send(200, told | {"siblings": siblings})

    def _send(self, code, answer, headers=None):
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
