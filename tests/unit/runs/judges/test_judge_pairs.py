"""Pairs of a run: who is beside whom, and what is refused."""

import csv

import pytest
from fakes import rows, write

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import texts
from mdlm_probe.runs.judges import answer_pairs, judge_calls
from mdlm_probe.runs.judges.answer_pairs import Choice


def test_each_shifted_answer_stands_beside_its_unshifted_one(tmp_path):
    folder = write(tmp_path, rows(prompts=2, seeds=(0, 1), interventions=("shift", "hold")))
    pairs, digests = answer_pairs.load(folder, Choice(), prompts=True)
    assert list(digests) == ["shift__m"]
    assert len(pairs) == 2 * 2 * 4
    prompts = {t.id: t.prompt for t in texts.load("decay", "small")}
    for pair in pairs:
        assert pair.answer.text == (
            f"\n{pair.prompt} \\n {pair.intervention} {pair.frac}, {pair.seed}"
        )
        assert pair.other.text == f"\n{pair.prompt} \\n none 0.0, {pair.seed}"
        assert pair.asked == prompts[pair.prompt]
        assert pair.settings == ""
        assert not pair.identical
    assert len({pair.id for pair in pairs}) == len(pairs)


def test_the_order_of_columns_and_rows_does_not_matter(tmp_path):
    folder = write(tmp_path)
    pairs, _ = answer_pairs.load(folder, Choice(), prompts=True)
    path = folder / "shift__m.csv"
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([line[::-1] for line in (table[0], *table[:0:-1])])
    again, _ = answer_pairs.load(folder, Choice(), prompts=True)
    assert sorted(again, key=lambda p: p.id) == sorted(pairs, key=lambda p: p.id)


def test_ways_of_decoding_are_kept_apart(tmp_path):
    lines = rows(prompts=1, steps=4, answer="four") + rows(prompts=1, steps=8, answer="eight")
    pairs, _ = answer_pairs.load(write(tmp_path, lines), Choice(), prompts=False)
    assert {(p.settings, p.other.text) for p in pairs} == {
        ("steps=4", "four"),
        ("steps=8", "eight"),
    }
    assert all(pair.identical for pair in pairs)


def test_choices(tmp_path):
    folder = write(tmp_path, rows(prompts=4, interventions=("shift", "hold")))

    def chosen(**choice):
        return answer_pairs.load(folder, Choice(**choice), prompts=False)[0]

    assert [p.prompt for p in chosen(limit=2, fracs=(0.1,), interventions=("hold",))] == [
        "prose-01",
        "prose-02",
    ]
    with pytest.raises(ProbeError, match=r"--intervention names twist.*\n.*shift, hold"):
        chosen(interventions=("twist",))
    with pytest.raises(ProbeError, match=r"--frac names 0.3.*\n.*0.1, 0.2"):
        chosen(fracs=(0.3,))


def test_what_is_no_run_of_answers_is_refused(tmp_path):
    def fails(words, lines=None, **config):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        if lines is not None:
            write(folder, lines, **config)
        with pytest.raises(ProbeError, match=words):
            answer_pairs.load(folder, Choice(), prompts=True)

    shifted = rows(prompts=1)[1:]
    double = [*rows(prompts=1), rows(prompts=1)[0] | {"answer": "other"}]
    fails("no answers to judge")
    fails("no unshifted answer beside 'shift' of prompt 'prose-01', seed 0", shifted)
    fails("no pairs to judge", rows(prompts=1)[:1])
    fails("unfinished", rows(), finished=False)
    fails("not those that", rows(), sources={"prompts": "another"})
    fails("answers prompt 'gone'", rows(prompts=1, prompt="gone"))
    fails("two unshifted answers of prompt 'prose-01', seed 0", double)


def test_a_missing_column_is_named(tmp_path):
    folder = write(tmp_path)
    path = folder / "shift__m.csv"
    path.write_text(path.read_text().replace("intervention,", "invention,", 1))
    with pytest.raises(ProbeError, match="no column 'intervention'"):
        answer_pairs.load(folder, Choice(), prompts=False)


def test_equal_texts_are_planned_once_and_others_in_both_orders(tmp_path):
    lines = rows(prompts=1)
    lines[1]["answer"] = lines[0]["answer"]
    pairs, _ = answer_pairs.load(write(tmp_path, lines), Choice(), prompts=False)
    calls = judge_calls.plan(pairs, judge_calls.BOTH)
    assert [call.order for call in calls] == ["none", "first", "second"]
    assert calls[1].texts == calls[2].texts[::-1] == (pairs[1].answer.text, pairs[1].other.text)
    assert len({call.id for call in calls}) == 3
