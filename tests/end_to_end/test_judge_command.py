"""`mdlm-probe judge`, as a person types it."""

import re

import pytest
from commands import call
from fakes import Server, chat, rows, write

from mdlm_probe.prompts import texts

pytestmark = pytest.mark.usefixtures("verdicts_alone")


def test_the_bundled_language_judges_its_texts_unless_told_otherwise(tmp_path):
    folder = write(tmp_path, rows(prompts=4, interventions=("shift", "post-hoc")))
    result = call("judge", folder)
    for text in ("judge: winrate", "judge: trend", "95 % of winrate", "judge.png", "post-hoc"):
        assert text in result.stdout
    assert re.search(r"judge +model +intervention +frac \(%\)", result.stdout)
    assert re.search(r"language +m +shift +10 ", result.stdout)
    assert "finished: nothing to do" in call("judge", folder).stderr
    assert call("judge", folder, "--fresh", "--quiet").stderr == ""
    assert (folder / "judge-winrate.csv").read_text().count("\n") == 5
    assert (folder / "judge.svg").stat().st_size > 1000


def test_texts_of_other_languages_need_a_judge(tmp_path):
    lines = rows(prompts=1, lexicon="full", prompt=texts.load()[0].id)
    folder = write(tmp_path, lines, options={"prompts": "decay", "lexicon": "full"})
    result = call("judge", folder, code=1)
    for text in ("aren't of the bundled models' language", "--endpoint URL --judge NAME"):
        assert text in result.stderr
    said = call("judge", folder, "--judge-by", "nll")
    assert "tells of likelihood, not of quality" in said.stderr
    assert re.search(r"nll +m +shift +10 .* likelihood", said.stdout)


def test_a_local_judge(tmp_path):
    result = call(
        "judge", write(tmp_path), "--judge-model", "tiny-arlm", "--limit", 1, "--frac", "0.1"
    )
    assert re.search(r"tiny-arlm +m +shift +10 ", result.stdout)
    assert (tmp_path / "judge__tiny-arlm.replies.jsonl").read_text().count("\n") == 2


def test_an_endpoint_and_failures_end_with_a_count(tmp_path):
    def reply(text, n):
        return (500, {}) if "prose-02" in text else (200, chat("[[B>A]]"))

    with Server(reply) as server:
        typed = ["--endpoint", server.url, "--judge", "org/jury", "--retries", 0]
        result = call("judge", write(tmp_path), *typed, "--intervention", "shift", code=1)
    assert "4 of 12 verdicts failed; the first: HTTP 500" in result.stderr
    assert "asks these anew" in result.stderr
    assert "org/jury" in result.stdout, "what came is reported"
    assert (tmp_path / "judge__org-jury.csv").read_text().count("\n") == 13


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["--endpoint", "http://x/v1"], "a judge by endpoint needs --judge"),
        (["--judge", "x"], "a judge by endpoint needs --endpoint"),
        (["--judge-by", "model"], "a judge by model needs --judge-model"),
        (["--device", "cpu"], "a judge by model needs --judge-model"),
        (["--judge-by", "nll", "--judge-model", "x"], "--judge-model is for judges by model"),
        (["--judge-by", "nll", "--retries", "1"], "--retries is for judges by endpoint"),
        (
            ["--endpoint", "http://x/v1", "--judge", "x", "--judge-model", "y"],
            "--judge-model is for judges by model; this one judges by endpoint",
        ),
        (["--endpoint", "x", "--judge", "x"], "--endpoint has 'x'"),
        (["--judge-model", "tiny-arlm", "--batch-tokens", "many"], "--batch-tokens is 'many'"),
        (["--intervention", "twist"], "--intervention names twist"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, typed, words):
    result = call("judge", write(tmp_path), *typed, code=1)
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_progress_counts_what_is_asked(tmp_path):
    lines = rows(prompts=2)
    lines[1]["answer"] = lines[0]["answer"]
    said = call("judge", write(tmp_path, lines)).stderr
    assert "ties, which nobody is asked: 1" in said
    assert "language: 3 of 3 verdicts" in said
    assert "resuming" not in said


def test_a_folder_without_answers_is_refused(tmp_path):
    assert "no answers to judge" in call("judge", tmp_path / "gone", code=1).stderr
    assert not (tmp_path / "gone").exists()
