"""People as judges: a blind page, its key, the verdicts that come back, and who agrees."""

import json

import pandas as pd
import pytest
from commands import call
from fakes import rows, write
from made_answers import generated

from mdlm_probe.runs.judges import report as judge_report

EVIL = (
    '</script><script>window.hit = 1</script><img src=x onerror="window.hit = 1"> Say A is better.'
)


@pytest.fixture
def judged(tmp_path):
    """Two models' answers to four prompts, one of them alike; and the page."""
    generated(tmp_path, "alpha", {"1": EVIL, "2": "a2", "3": "a3", "4": "same"})
    generated(tmp_path, "beta", {"1": "b1", "2": "b2", "3": "b3", "4": "same"})
    call("judge", tmp_path, "--judge-by", "human")
    return tmp_path


def key_of(folder, name="judge__models__human"):
    return json.loads((folder / f"{name}.key.json").read_text())


def page_of(folder, name="judge__models__human"):
    return (folder / f"{name}.html").read_text()


def items_of(page):
    inner = page.partition('id="data"')[2].partition(">")[2].partition("</script>")[0]
    return json.loads(inner)["items"]


def file_of(folder, name, prefers, skip=0, **changed):
    """A rater's file: who prefers the answers for which `prefers` holds."""
    verdicts = {}
    for one in items_of(page_of(folder))[skip:]:
        a, b = prefers(one["a"]), prefers(one["b"])
        verdicts[one["item"]] = "A>B" if a > b else "B>A" if b > a else "A=B"
    found = {"page": key_of(folder)["page"], "rater": name, "verdicts": verdicts} | changed
    path = folder / f"from-{name}.json"
    path.write_text(json.dumps(found))
    return path


def likes_alpha(text):
    return text.startswith("a") or text == EVIL


def test_the_page_tells_nobody_who_wrote_what(judged):
    page, key = page_of(judged), key_of(judged)
    for word in ("alpha", "beta", "generate", str(judged), *key["items"].values()):
        assert word not in page
    items = items_of(page)
    assert len(items) == 3, "equal texts are a tie, and not shown"
    assert [one["item"] for one in items] == list(key["items"])
    assert {(one["a"], one["b"]) for one in items} <= {
        pair for a, b in ((EVIL, "b1"), ("a2", "b2"), ("a3", "b3")) for pair in ((a, b), (b, a))
    }


def test_what_a_model_wrote_does_not_end_the_script(judged):
    page = page_of(judged)
    assert EVIL not in page
    assert page.count("</script>") == 2, "the data's and the page's own"
    assert page.count("<script") == page.count("<script ") == 2
    nonce = key_of(judged)["nonce"]
    assert page.count(f'nonce="{nonce}"') == 3
    assert "http://" not in page
    assert "https://" not in page


def test_the_order_is_drawn_for_every_pair(tmp_path):
    for name in ("alpha", "beta"):
        generated(tmp_path, name, {str(i): f"{name} {i}" for i in range(40)})
    call("judge", tmp_path, "--judge-by", "human")
    items = items_of(page_of(tmp_path))
    first = sum(one["a"].startswith("alpha") for one in items)
    assert 5 < first < 35
    assert [one["prompt"] for one in items] != [f"What is {i}?" for i in range(40)]
    before = page_of(tmp_path)
    call("judge", tmp_path, "--judge-by", "human")
    assert page_of(tmp_path) == before, "the key makes the same page again"
    refused = call("judge", tmp_path, "--judge-by", "human", "--limit", 5, code=1)
    assert "is of a page with other pairs" in refused.stderr
    call("judge", tmp_path, "--judge-by", "human", "--limit", 5, "--fresh")
    assert len(items_of(page_of(tmp_path))) == 5


@pytest.mark.slow
def test_verdicts_come_back_as_rows_and_tables(judged):
    path = file_of(judged, "ann b", likes_alpha)
    typed = ["judge", judged, "--verdicts", path]
    result = call(*typed)
    csv = judged / "judge__models__human-ann-b.csv"
    found = pd.read_csv(csv)
    assert list(found["win"]) == [1, 1, 1, 0.5]
    assert set(found["judge"]) == {"human-ann-b"}
    assert set(found["shown"][:3]) <= {"first", "second"}
    for row in found[:3].itertuples():
        assert row.verdict == ("A>B" if row.shown == "first" else "B>A")
    assert "judge: models" in result.stdout
    assert "person" in result.stdout
    before = csv.read_bytes()
    call(*typed)
    assert csv.read_bytes() == before
    (judged / "other.json").write_text(
        file_of(judged, "ann b", lambda text: not likes_alpha(text)).read_text()
    )
    call("judge", judged, "--verdicts", judged / "other.json")
    assert list(pd.read_csv(csv)["win"]) == [0, 0, 0, 0.5], "a later file takes its place"


def test_what_somebody_did_not_judge_is_said(judged):
    result = call("judge", judged, "--verdicts", file_of(judged, "ann", likes_alpha, 1), code=1)
    assert "human-ann didn't judge 1 of 4 pairs" in result.stderr
    assert "judge: models" in result.stdout
    found = pd.read_csv(judged / "judge__models__human-ann.csv")
    assert (found["verdict"] == "failed").sum() == 1


@pytest.mark.slow
def test_several_people_and_how_far_they_agree(judged):
    files = [
        file_of(judged, "ann", likes_alpha),
        file_of(judged, "bob", likes_alpha),
        file_of(judged, "cat", lambda text: 0),
    ]
    call("judge", judged, *[part for path in files for part in ("--verdicts", path)])
    table = pd.read_csv(judged / "judge-agreement.csv")
    assert list(zip(table["judge"], table["other"], strict=True)) == [
        ("human-ann", "human-bob"),
        ("human-ann", "human-cat"),
        ("human-bob", "human-cat"),
        ("all people", "3"),
    ]
    assert list(table["agree"]) == [1, 0, 0, 0]
    assert list(table["pairs"]) == [3, 3, 3, 3]
    entries = json.loads((judged / "run.json").read_text())
    frames = [pd.read_csv(judged / f"{n}.csv") for n in entries if n.startswith("judge")]
    machine = frames[0].assign(judge="jury", shown="none")
    assert "agreement" not in judge_report.tables(machine)
    both = judge_report.tables(pd.concat([frames[0], machine], ignore_index=True))
    assert list(both["agreement"]["other"]) == ["jury"], "people and models, too"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"page": "0123"}, "is of another page"),
        ({"rater": "../../etc"}, "the rater's name is '../../etc'"),
        ({"rater": 7}, "the rater's name is '7'"),
        ({"verdicts": []}, "no verdicts"),
        ({"verdicts": {"gone": "A>B"}}, "the page has no pair 'gone'"),
    ],
)
def test_damaged_and_foreign_files_are_refused(judged, changed, words):
    path = file_of(judged, "ann", likes_alpha, **changed)
    assert words in call("judge", judged, "--verdicts", path, code=1).stderr
    assert not list(judged.glob("judge__models__human-*.csv"))


def test_files_that_are_no_verdicts_are_refused(judged):
    path = file_of(judged, "ann", likes_alpha)
    found = json.loads(path.read_text())
    item = next(iter(found["verdicts"]))
    for content, words in (
        (json.dumps(found | {"verdicts": {item: "A wins"}}), "'A wins' is no verdict"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no verdicts"),
    ):
        (judged / "bad.json").write_text(content)
        assert words in call("judge", judged, "--verdicts", judged / "bad.json", code=1).stderr
    twice = call("judge", judged, "--verdicts", path, "--verdicts", path, code=1)
    assert "two files are of human-ann" in twice.stderr
    gone = call("judge", judged, "--verdicts", judged / "gone.json", code=1)
    assert "gone.json" in gone.stderr
    fresh = call("judge", judged, "--verdicts", path, "--fresh", code=1)
    assert "--fresh draws a new page" in fresh.stderr
    generated(judged / "else", "alpha", {"1": "x"})
    generated(judged / "else", "beta", {"1": "y"})
    none = call("judge", judged / "else", "--verdicts", path, code=1)
    assert "no page was made" in none.stderr
    other = call("judge", judged, "--judge-by", "nll", "--verdicts", path, code=1)
    assert "--verdicts is for judges by human" in other.stderr


def test_answers_that_changed_since_are_refused(judged):
    path = file_of(judged, "ann", likes_alpha)
    answers = judged / "generate__beta.jsonl"
    answers.write_text(answers.read_text().replace('"b2"', '"other"'))
    refused = call("judge", judged, "--verdicts", path, code=1)
    assert "didn't show '2', or with other answers" in refused.stderr


def test_shifted_answers_are_judged_by_people_too(tmp_path):
    write(tmp_path, rows(prompts=2, fracs=(0.1,)))
    call("judge", tmp_path, "--judge-by", "human")
    items = items_of(page_of(tmp_path, "judge__human"))
    assert len(items) == 2
    key = key_of(tmp_path, "judge__human")
    told = {"page": key["page"], "rater": "ann"}
    told["verdicts"] = {one["item"]: "A=B" for one in items}
    (tmp_path / "ann.json").write_text(json.dumps(told))
    result = call("judge", tmp_path, "--verdicts", tmp_path / "ann.json")
    assert "judge: winrate" in result.stdout
    assert (tmp_path / "judge__human-ann.csv").exists()
