"""What the shell offers after a Tab: through click's own classes, and once in a process."""

import pytest
from click.shell_completion import BashComplete, ZshComplete

from mdlm_probe import cli, models
from mdlm_probe.prompts import suite, texts


def offered(typed, shell=BashComplete):
    """Completions of a command line's last word, by kind; "" is a word not begun yet."""
    *words, last = typed.split(" ")
    found = shell(cli.main, {}, "mdlm-probe", "_MDLM_PROBE_COMPLETE").get_completions(words, last)
    return {(item.type, item.value): item.help for item in found}


def plain(typed):
    return [value for kind, value in offered(typed) if kind == "plain"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("lo", ["locality"]),
        ("plan lo", ["locality"]),
        ("mo", ["models"]),
        ("locality --que", ["--question"]),
        ("locality --model tiny", ["tiny-mdlm", "tiny-mdlm-adapted", "tiny-arlm"]),
        ("locality --model tiny-mdlm -m tiny-a", ["tiny-arlm"]),
        ("plan decay -m llada-8b-", ["llada-8b-instruct"]),
        ("shift --scorer tiny-a", ["tiny-arlm"]),
        ("locality --question left,m", ["left,middle"]),
        ("locality --question left,middle,", ["left,middle,right"]),
        ("locality --dtype fl", ["float32", "float16"]),
        ("masks --tasks anim", ["animal-smallest", "animal-largest", "animal"]),
        ("masks --tasks verb,animal-s", ["verb,animal-smallest"]),
        ("masks --tasks verb,verb", ["verb,verb-smallest", "verb,verb-largest"]),
        ("decay --tasks ", ["prose", "question", "all"]),
        ("decay --model llada-8b --tasks a", ["arithmetic", "all"]),
        ("generate --model llada-8b --tasks wr", ["writing"]),
        ("shift --prompts decay --lexicon full --tasks pr", ["prose"]),
        ("masks --suite few", ["few-shot"]),
        ("tasks --suite few", ["few-shot"]),
        ("shift --prompts o", ["open"]),
        ("shift --lexicon s", ["small"]),
        ("masks --lm-eval-task suite_animal", ["suite_animal", "suite_animal_words"]),
        ("masks --suite none.yaml --tasks a", []),
        ("masks --limit 1", []),
    ],
)
def test_names_that_begin_so(typed, expected):
    assert plain(typed) == expected


def test_all_models_are_offered_with_their_notes_and_folders_too():
    found = offered("locality --model ", ZshComplete)
    for entry in models.entries():
        assert found["plain", entry.name] == entry.note
    # bash forgets what stood before a path, so that it must come first
    assert next(iter(found)) == ("dir", "")


def test_all_tasks_of_the_suite_are_offered():
    found = plain("masks --tasks ")
    assert {*found} >= {*suite.load("few-shot").sets, "all"}


def test_tasks_are_those_of_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "a", "task": "riddle"}\n{"prompt": "b"}\n')
    assert plain(f"shift --prompts {path} --tasks ") == ["riddle", "mine", "all"]
    assert [text.task for text in texts.load(str(path))] == ["riddle", "mine"]


def test_probes_come_with_their_questions():
    question = "Does a model find what it needs wherever it stands?"
    assert offered("lo", ZshComplete) == {("plain", "locality"): question}
