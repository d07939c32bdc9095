"""Chat endpoints as judges, against a real server on loopback that misbehaves."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakes import Server, chat, rows, write
from jury import MARK, Notes, ask, ended_judging, lines_of, one, read
from progress import Silent

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs.judges import (
    Access,
    Choice,
    EndpointJudge,
    bounded_http,
    judge,
    load_prompt,
)


def test_both_orders_are_asked_and_scored_from_the_shifted_answers_side(tmp_path):
    folder, progress = one(tmp_path), Notes()
    with Server(lambda text, n: (200, chat("[[A>>B]]"))) as server:
        done = ask(folder, server, progress)
    found = read(done)
    assert [(r["shown"], r["verdict"], r["win"], r["strength"]) for r in found] == [
        ("first", "A>>B", "1", "2"),
        ("second", "A>>B", "0", "-2"),
    ]
    assert [(r["tokens_read"], r["tokens_written"]) for r in found] == [("7", "3")] * 2
    places = [[text.index(x) for x in ("shift 0.1", "none 0.0")] for text in server.asked]
    assert sorted(a < b for a, b in places) == [False, True]
    assert server.last["temperature"] == 0
    assert server.last["model"] == "jury"
    assert [message["role"] for message in server.last["messages"]] == ["system", "user"]
    assert "14 prompt tokens and 6 completion tokens for 2 verdicts" in progress.said
    entry = read_run(folder)["judge__jury"]
    assert entry["usage"] == {"prompt_tokens": 14, "completion_tokens": 6}
    assert entry["config"]["endpoint"] == server.url
    assert {line["order"] for line in lines_of(folder)} == {"first", "second"}
    assert lines_of(folder)[0]["prompt"]["version"] == load_prompt().version
    assert lines_of(folder)[0]["response"] == chat("[[A>>B]]")


def test_equal_texts_are_ties_that_nobody_is_asked(tmp_path):
    folder = write(tmp_path, rows(prompts=1, answer="same"))
    with Server(lambda text, n: (200, chat(MARK))) as server:
        found = read(ask(folder, server))
    assert server.asked == []
    assert [(r["shown"], r["identical"], r["verdict"], r["win"]) for r in found] == [
        ("none", "1", "A=B", "0.5")
    ] * 2


TROUBLE = {
    "429": (429, {"error": {"message": "slow down"}}, [("Retry-After", "0.01")]),
    "500": (500, {"error": {"message": "oops"}}),
    "cut": (200, None),
    "nonsense": (200, b"<html>{"),
    "no choices": (200, {"error": "busy"}),
    "half a reply": (200, {"choices": [{}]}),
    "hangs": (200, chat(MARK), (), 0.6),
}


@pytest.mark.parametrize("kind", TROUBLE)
@pytest.mark.slow
def test_trouble_that_passes_is_asked_again(tmp_path, kind):
    with Server(lambda text, n: TROUBLE[kind] if n == 0 else (200, chat(MARK))) as server:
        done = ask(one(tmp_path), server, timeout=0.3)
    assert done.failed == 0
    assert [row["verdict"] for row in read(done)] == ["A>B", "A>B"]
    assert {server.asked.count(text) for text in server.asked} == {2}


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("429", "HTTP 429: .*slow down"),
        ("500", "HTTP 500: .*oops"),
        ("cut", "Connection error"),
        ("nonsense", "no JSON: '<html>"),
        ("no choices", "no chat completion: .*busy"),
        ("hangs", "timed out"),
    ],
)
@pytest.mark.slow
def test_trouble_that_stays_is_a_failed_verdict_and_asked_anew_next_time(tmp_path, kind, reason):
    folder = write(tmp_path, rows(prompts=2, fracs=(0.1,)))

    def reply(text, n):
        return TROUBLE[kind] if "prose-01" in text else (200, chat(MARK))

    with Server(reply) as server:
        done = ask(folder, server, timeout=0.2)
        assert {server.asked.count(t) for t in server.asked if "prose-01" in t} == {3}
    assert (done.verdicts, done.failed) == (4, 2)
    assert re.search(reason, done.reason)
    found = read(done)
    assert [row["verdict"] for row in found] == ["failed", "failed", "A>B", "A>B"]
    assert [row["win"] for row in found] == ["", "", "1", "0"]
    assert read_run(folder)["judge__jury"]["status"] == "started"
    with Server(lambda text, n: (200, chat("[[B>A]]"))) as server:
        again = EndpointJudge("jury", Access(server.url), load_prompt())
        again.config["endpoint"] = read_run(folder)["judge__jury"]["config"]["endpoint"]
        again.config["max_tokens"] = 1024
        done = judge(folder, again, Choice(), Silent())
        assert len(server.asked) == 2
        assert all("prose-01" in text for text in server.asked)
    assert done.failed == 0
    assert [row["verdict"] for row in read(done)] == ["B>A", "B>A", "A>B", "A>B"]
    assert read_run(folder)["judge__jury"]["status"] == "finished"


class Cut(bytes):
    """Only the beginning of a body: the rest never comes."""

    def __len__(self):
        return 2 * super().__len__()


@pytest.mark.parametrize("within", ["head", "body"])
def test_calls_on_the_way_end_with_the_client(tmp_path, monkeypatch, within):
    """Nothing waits for a server that hangs, before its reply begins or in the middle of it."""
    others, came, over, patience = (
        set(threading.enumerate()),
        *(threading.Event() for _ in "ab"),
        60,
    )
    bounded = bounded_http._bounded

    def reply(text, n):
        if server.asked.index(text) == 0:
            return 200, chat(MARK)
        if within == "head":
            came.set()
            over.wait(10 * patience)
        return 200, Cut(json.dumps(chat(MARK)).encode()), [("cut", "yes")]

    def begun(response, seconds):
        if "cut" in response.headers:
            came.set()
        return bounded(response, seconds)

    class Stopping(Silent):
        def advance(self, cells, tokens):
            assert came.wait(patience)
            raise KeyboardInterrupt

    monkeypatch.setattr(bounded_http, "_bounded", begun)
    with Server(reply) as server:
        with pytest.raises(KeyboardInterrupt) as kept:
            ask(one(tmp_path), server, Stopping(), timeout=10 * patience)
        assert ended_judging(others, patience), f"calls go on after {kept.value!r}"
        over.set()


BLOCKED = {"error": {"message": "not this", "code": "content_filter"}}


@pytest.mark.parametrize(
    ("reply", "verdict", "reason"),
    [
        ((200, chat(None)), "refused", "empty"),
        ((200, chat(" \n")), "refused", "empty"),
        ((200, chat(None, refusal="I won't")), "refused", "I won't"),
        ((200, chat("[[A>B]]", finish="content_filter")), "refused", "content_filter"),
        ((400, BLOCKED), "refused", "not this"),
        ((200, chat("A is better")), "unparsable", ""),
        ((200, chat("[[A>B]] or [[B>A]]")), "unparsable", ""),
        ((200, chat("well,", finish="length")), "unparsable", "cut at --max-tokens"),
        ((200, chat("", finish="length")), "unparsable", "cut at --max-tokens"),
        ((200, chat("[[A=B]]", usage=None)), "A=B", ""),
    ],
)
@pytest.mark.slow
def test_replies_without_a_verdict_are_said_to_be_that(tmp_path, reply, verdict, reason):
    with Server(lambda text, n: reply) as server:
        done = ask(one(tmp_path), server)
        assert len(server.asked) == 2, "not asked again"
    assert done.failed == 0
    for row in read(done):
        assert row["verdict"] == verdict
        assert reason in row["reason"]
        assert row["win"] == ("0.5" if verdict == "A=B" else "")


def test_a_judge_that_is_not_there_is_said_before_work_starts(tmp_path):
    folder = one(tmp_path)
    with Server(lambda text, n: (200, chat(MARK))) as server:
        pass
    with pytest.raises(ProbeError, match=r"no judge answers at http://127\.0\.0\.1"):
        ask(folder, server)
    assert not (folder / "judge__jury.csv").exists()
    with Server(lambda text, n: (200, chat(MARK))) as other:  # nothing is bound to the wrong URL
        assert ask(folder, other).failed == 0


@pytest.mark.parametrize("models", [200, 404, 500, 403])
def test_servers_that_list_no_models_are_asked_one_token(tmp_path, models):
    lengths = []

    def reply(text, n):
        lengths.append((text == "A", server.last["max_tokens"]))
        return 200, chat(MARK)

    with Server(reply, models=models) as server:
        assert ask(one(tmp_path), server, concurrency=1).failed == 0
    check = [] if models == 200 else [(True, 1)]
    assert lengths == [*check, (False, 1024), (False, 1024)]


@pytest.mark.parametrize("models", [200, 401, 404])
@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_stops_at_once(tmp_path, monkeypatch, models, status):
    monkeypatch.setenv("JURY_KEY", "secret-key")
    folder = one(tmp_path)
    with Server(lambda text, n: (status, {"error": {"message": "who?"}}), models) as server:
        with pytest.raises(ProbeError, match=r"refuses the key: .*\n.*JURY_KEY") as error:
            ask(folder, server, key_env="JURY_KEY", concurrency=1)
        assert len(server.asked) == (0 if models == 401 else 1)
        assert set(server.keys) <= {"Bearer secret-key"}
    assert "secret-key" not in str(error.value)


def test_a_judge_that_is_not_served_stops_at_once(tmp_path):
    with Server(lambda text, n: (404, {"error": {"message": "no such model"}})) as server:
        with pytest.raises(ProbeError, match=r"has no judge 'jury': .*no such model"):
            ask(one(tmp_path), server, concurrency=1)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("before", "sent"), [("", "Bearer secret-key"), ("me:password@", "Basic bWU6cGFzc3dvcmQ=")]
)
def test_neither_keys_nor_passwords_are_written_down(tmp_path, monkeypatch, before, sent):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    folder = one(tmp_path)
    with Server(lambda text, n: (200, chat(MARK))) as server:
        server.url = server.url.replace("http://", f"http://{before}")
        ask(folder, server)
        assert set(server.keys) == {sent}
    for path in filter(Path.is_file, folder.rglob("*")):
        assert b"secret-key" not in path.read_bytes()
        assert b"password" not in path.read_bytes()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://", "http://x:y/v1"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ProbeError, match="--endpoint has"):
        Access(url)


KEY, PASSWORD = "sk-secret-key-123", "hunter2-pass"


def echo(kind):
    """Replies that give a key or a password away."""
    said = f"[[A>B]] key {KEY}, me:{PASSWORD}, bWU6aHVudGVyMi1wYXNz"
    return {
        "content": (200, chat(said)),
        "refusal": (200, chat(None, refusal=said)),
        "name": (200, chat("[[A>B]]") | {KEY: [PASSWORD]}),
        "blocked": (400, {"error": {"message": said, "code": "content_filter"}}),
        "error": (500, {"error": {"message": said}}),
        "nonsense": (200, said.encode()),
        "fatal": (403, {"error": {"message": said}}),
    }[kind]


@pytest.mark.parametrize(
    "kind", ["content", "refusal", "name", "blocked", "error", "nonsense", "fatal"]
)
def test_what_a_server_echoes_of_keys_and_passwords_is_hidden(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    folder, said = one(tmp_path), Notes()
    with Server(lambda text, n: echo(kind)) as server:
        server.url = server.url.replace("http://", f"http://me:{PASSWORD}@") + f"?api_key={KEY}"
        try:
            done = ask(folder, server, said, retries=0)
            told = [done.reason, *said.said]
        except ProbeError as error:
            told = [str(error)]
    kept = [path.read_text() for path in folder.iterdir() if path.is_file()]
    for secret in (KEY, PASSWORD, "bWU6aHVudGVyMi1wYXNz"):
        assert not [text for text in told + kept if secret in text]
    assert kind == "name" or any("***" in text for text in told + kept)


@pytest.mark.parametrize(
    "body",
    [
        chat("[[A>B]]") | {"blocked": {"by": "us"}},
        chat("[[A>B]]") | {"usage": {"prompt_tokens": 10**400, "completion_tokens": -1}},
        chat("[[A>B]]") | {"usage": [1]},
        chat("[[A>B]]", finish={"why": []}),
    ],
)
def test_odd_fields_of_a_reply_change_no_verdict(tmp_path, body):
    folder = one(tmp_path)
    with Server(lambda text, n: (200, body)) as server:
        for _ in range(2):  # asked, and resumed
            found = read(ask(folder, server))
    assert [(r["verdict"], r["reason"]) for r in found] == [("A>B", "")] * 2
    assert [r["tokens_read"] for r in found] in ([""] * 2, ["7"] * 2)


def nested(levels):
    return chat("[[A>B]]") | {"more": json.loads("[" * levels + "]" * levels)}


@pytest.mark.slow
@pytest.mark.parametrize("body", [nested(60), b"[" * 100_000, chat([1]), {"choices": "x"}, []])
def test_what_is_no_reply_is_not_kept_as_one(tmp_path, body):
    folder = one(tmp_path)
    with Server(lambda text, n: (200, body)) as server:
        assert ask(folder, server, retries=0).failed == 2
    with Server(lambda text, n: (200, chat("[[A>B]]"))) as server:
        again = EndpointJudge("jury", Access(server.url), load_prompt())
        again.config["endpoint"] = read_run(folder)["judge__jury"]["config"]["endpoint"]
        assert judge(folder, again, Choice(), Silent()).failed == 0


def endless(handler):
    """A body without an end, as fast as it is read."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def trickling(handler):
    """A body whose bytes come so often that no read ever times out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    ("body", "reason"), [(endless, "more than 1 MiB"), (trickling, r"timed out|0\.3 s")]
)
def test_bodies_that_do_not_end_are_cut_off(tmp_path, monkeypatch, body, reason, status):
    monkeypatch.setattr(bounded_http, "LARGEST", 2**20)
    ended = threading.Semaphore(0)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def send_response(self, code):
            super().send_response(status)

        def do_GET(self):
            super().send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            try:
                body(self)
            except OSError:  # the connection is closed
                ended.release()
                self.close_connection = True

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_port}/v1"
        done = ask(one(tmp_path), server, timeout=0.3, retries=0)
        assert done.failed == 2
        assert re.search(reason, done.reason)
        assert all(ended.acquire(timeout=20) for _ in range(2))
        server.shutdown()
