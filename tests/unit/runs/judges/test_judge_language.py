"""The bundled language as a judge: true prose beats repetition, right answers beat wrong ones."""

import csv

import pytest
from fakes import rows, write
from jury import Notes
from progress import Silent

from mdlm_probe import models
from mdlm_probe.cli.judge_options import NEEDED, OWN, judge_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RunFolder, read_run
from mdlm_probe.decoding import answers
from mdlm_probe.engine.engine import Engine
from mdlm_probe.prompts import small_texts, texts
from mdlm_probe.runs.judges import Choice, LanguageJudge, LikelihoodJudge, answer_pairs, judge
from mdlm_probe.runs.judges import report as judge_report

AGAIN = ". the pale wind" * 8
PROSE = list(small_texts.prose())


def default(folder, fresh=False):
    """The judge that no option names."""
    names = {name for options in (*OWN.values(), *NEEDED.values()) for name in options}
    return judge_of(dict.fromkeys(names | {"judge_by"}), folder, fresh)


def verdicts(folder, by=None):
    done = judge(folder, by or default(folder), Choice(), Silent())
    assert done.failed == 0
    with done.path.open(newline="") as file:
        return list(csv.DictReader(file))


def pairs(shifted, plain, **changed):
    """Rows of two answers to each prompt; a shifted one stands second."""
    lines = rows(prompts=len(plain), fracs=(0.1,), **changed)
    for number, line in enumerate(lines):
        line["answer"] = (plain, shifted)[number % 2][number // 2]
    return lines


def again_against_true_prose(folder, count=50, scores=None):
    """A run whose shifted answers say one sentence eight times, and the others are true prose."""
    lines = pairs([AGAIN] * count, [text.continuation for text in PROSE[:count]])
    for line, score in zip(lines, scores or (), strict=bool(scores)):
        line["nll"], line["scorer_tokens"] = score.nll, score.tokens
    return write(folder, lines)


def test_one_sentence_said_again_never_beats_true_prose(tmp_path):
    folder = again_against_true_prose(tmp_path)
    found = verdicts(folder)
    assert len(found) == len(PROSE) == 50
    assert {(row["judge"], row["verdict"], row["win"]) for row in found} == {
        ("language", "B>A", "0")
    }
    assert {row["shown"] for row in found} == {"none"}
    assert "keep to the language" in found[0]["reason"]
    assert not list(folder.glob("*.replies.jsonl"))


@pytest.mark.parametrize(
    ("scorer", "wins", "of"), [("tiny-arlm", 10, 10), ("oracle-causal", 42, 50)]
)
@pytest.mark.slow
def test_by_likelihood_it_does(tmp_path, scorer, wins, of):
    """Even by the exact probability of the language, which the oracle gives."""
    engine = Engine(models.load(models.resolve(scorer)), batch_tokens=8192)
    written = [text for one in PROSE[:of] for text in (one.continuation, AGAIN)]
    asked = [one for one in PROSE[:of] for _ in range(2)]
    folder = again_against_true_prose(tmp_path, of, answers.score(engine, asked, written))
    found = verdicts(folder, LikelihoodJudge())
    assert sum(row["win"] == "1" for row in found) == wins


def test_verdicts_by_hand(tmp_path):
    """Of the prompts prose-01 to prose-05, whatever their last word: both texts have it before."""
    plain = [". the wind crossed the road."] * 5
    shifted = [
        ". the wind the crossed road.",  # neighbours that changed places
        ". some king crossed the wall.",  # other words, as valid
        ". the copper gate crossed the.",  # a broken pair, and an end after a determiner
        "",  # nothing
        ". the wind crossed the road.",  # the same text
    ]
    found = verdicts(write(tmp_path, pairs(shifted, plain)))
    assert [row["win"] for row in found] == ["0", "0.5", "0", "0", "0.5"]
    assert [row["identical"] for row in found] == ["0", "0", "0", "0", "1"]


def test_answers_to_questions_of_the_language_are_judged_by_being_right(tmp_path):
    asked = [text for text in texts.load("open", "small") if text.answer][:4]
    right, wrong = [text.answer for text in asked], ["no word] "] * 4
    lines = pairs(wrong[:1] + right[1:2] + [f" {right[2]}]." + AGAIN] + wrong[3:], right)
    for number, line in enumerate(lines):
        line |= {"prompts": "open", "prompt": asked[number // 2].id, "task": asked[0].task}
    lines[-2]["answer"] = "another wrong one]"
    options = {"options": {"prompts": "open", "lexicon": "small"}}
    found = verdicts(write(tmp_path, lines, **options))
    assert [row["win"] for row in found] == ["0", "0.5", "0.5", "0.5"]
    assert [row["identical"] for row in found] == ["0", "1", "0", "0"]


def test_prompts_of_another_language_need_a_judge(tmp_path):
    folder = write(tmp_path, foreign())
    with pytest.raises(ProbeError) as refused:
        verdicts(folder)
    said = str(refused.value)
    assert "1 of 2 prompts" in said
    assert "such as 'question-01'" in said
    for option in ("--endpoint URL --judge NAME", "--judge-model MODEL", "--judge-by nll"):
        assert option in said
    assert "--judge-by language judges the other 1 alone" in said
    assert "judge__language" not in read_run(folder)
    found = verdicts(folder, LanguageJudge())
    assert [row["verdict"] for row in found] == ["A=B", "A=B", "refused", "refused"]
    assert "isn't of the bundled" in found[-1]["reason"]


def test_no_prompt_of_the_language_is_refused_though_it_was_asked_for(tmp_path):
    folder = write(tmp_path, [line for line in foreign() if line["task"] == "question"])
    for by in (LanguageJudge(), LanguageJudge(assumed=True)):
        with pytest.raises(ProbeError, match=r"1 of 1 prompts(.|\n)*--endpoint") as refused:
            verdicts(folder, by)
        assert "alone" not in str(refused.value)


def foreign():
    """Answers to a prompt in prose, and to one of answered examples, which has no right answer."""
    (other,) = [text for text in texts.load("decay", "small") if text.id == "question-01"]
    lines = rows(prompts=1)
    return lines + [line | {"prompt": other.id, "task": other.task} for line in lines]


def test_right_answers_of_other_languages_are_no_truth_here():
    """A sum has an answer, too: but what else a text says, this language can't judge."""
    known = answer_pairs.asked_texts("open", "full").values()
    assert any(text.answer for text in texts.load("open", "full"))
    assert not any(text.answer for text in known)
    with pytest.raises(ProbeError, match="--judge-model"):
        LanguageJudge().check(list(known))


def test_verdicts_by_likelihood_that_were_begun_by_default_are_not_left_behind(tmp_path):
    """Unfinished ones are resumed by name; finished ones stay beside the new ones."""
    folder = write(tmp_path)
    verdicts(folder, LikelihoodJudge())
    with RunFolder.locked(folder, "made") as run:
        run.update("judge__nll", status="started")
    path = folder / "judge__nll.csv"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(ProbeError, match=r"unfinished(.|\n)*--judge-by nll resumes"):
        default(folder)
    assert isinstance(default(folder, fresh=True), LanguageJudge)
    verdicts(folder, LikelihoodJudge())
    assert len(verdicts(folder)) == 6
    entries = read_run(folder)
    assert entries["judge__nll"]["status"] == entries["judge__language"]["status"] == "finished"
    assert entries["judge__language"]["config"]["prompt"] is None


def test_a_likelihood_says_what_it_is(tmp_path):
    notes = Notes()
    judge(write(tmp_path), LikelihoodJudge(), Choice(), notes)
    assert any("say the same again win" in said for said in notes.said)
    scored = {"dream-7b": "qwen2.5-7b", "llada-8b": "llama3-8b", "m": "x"}
    told = LikelihoodJudge().caution(scored).split("; ")[1:]
    assert told == ["qwen2.5-7b is the model that dream-7b started from, and favours its texts"]
    for by, followed in ((LikelihoodJudge(), "likelihood"), (LanguageJudge(), "language")):
        found = judge_report.pd.DataFrame(verdicts(tmp_path, by))
        table = judge_report.tables(found)["winrate"]
        assert set(table["follows"]) == {followed}
