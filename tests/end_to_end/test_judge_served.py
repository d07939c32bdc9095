"""A chat endpoint as people run one: the server of transformers with the bundled causal model."""

import csv
import importlib.util
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import rows, write
from progress import Silent

from mdlm_probe import models
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs.judges import Access, Choice, EndpointJudge, judge, load_prompt

MISSING = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
TEMPLATE = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"


@contextmanager
def served(folder, log):
    """The server's URL; it is ended at the end."""
    # below the ports that the system gives away: another test's server could get it meanwhile
    port = random.SystemRandom().randrange(20000, 30000)
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
    program = Path(sys.executable).with_name("transformers")
    typed = [program, "serve", folder, "--host", "127.0.0.1", "--port", str(port)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(log.parent)}
    with log.open("wb") as said:
        running = subprocess.Popen([*typed, "--device", "cpu"], stdout=said, stderr=said, env=env)
    try:
        until = time.monotonic() + 150
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).read()
                break
            except OSError:
                assert running.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.terminate()
        try:
            running.wait(5)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}: pip install -e .[dev]")
def test_a_served_model_that_speaks_another_language_has_no_verdicts(tmp_path):
    model = tmp_path / "jury"
    shutil.copytree(models.resolve("tiny-arlm").source, model)
    (model / "chat_template.jinja").write_text(TEMPLATE)
    folder = write(tmp_path / "run", rows(prompts=2, fracs=(0.1,)))
    with served(model, tmp_path / "log.txt") as url:
        access = Access(url, max_tokens=8, concurrency=2, timeout=120.0, retries=1)
        done = judge(folder, EndpointJudge(str(model), access, load_prompt()), Choice(), Silent())
    assert (done.verdicts, done.failed) == (4, 0)
    with done.path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["verdict"] for row in found] == ["unparsable"] * 4
    assert all(int(row["tokens_read"]) > 50 for row in found)
    assert all(0 < int(row["tokens_written"]) <= 8 for row in found)
    raw = done.path.with_suffix(".replies.jsonl").read_text().splitlines()
    replies = [json.loads(line)["response"] for line in raw]
    assert len(replies) == 4
    assert all(r["choices"][0]["message"]["content"] for r in replies)
    (entry,) = (e for name, e in read_run(folder).items() if name.startswith("judge__"))
    assert entry["status"] == "finished"
    assert entry["usage"]["completion_tokens"] == sum(int(r["tokens_written"]) for r in found)
