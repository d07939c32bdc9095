"""The needle probe: prompts, scores by the chain rule, and calibration on planted readers."""

import pytest
import torch
from checkpoints import MASK_TEXT, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models import LoadOptions
from mdlm_probe.probes.needle import haystack
from mdlm_probe.probes.needle import probe as needle
from mdlm_probe.probes.needle.facts import load
from mdlm_probe.runs.fitting import fit
from mdlm_probe.runs.plan import Job, prepare

SMALL = {"lexicon": "small"}
OWN = """
lexicons:
  full:
    intro: " "
    turn: " "
    needles:
      x: {fact: "the {key} found the {value}.", answer: "the {key} found the {value}",
          keys: people, values: things}
words: {people: miller, things: bell lamp}
"""
PAIR = ["oracle", "oracle-causal"]


class Recorder(DryRun):
    """Keeps the prompts that a probe asks."""

    def ask(self, queries):
        self.queries = list(queries)
        return super().ask(queries)


def recorded(model, **options):
    entry = models.resolve(str(model))
    recorder = Recorder(entry, models.load_border(entry))
    cells = needle.plan(**options)
    assert [cell for cell, _ in needle.measure(recorder, cells)] == cells
    return cells, recorder.queries, recorder.border


def measured(model, **options):
    engine = Engine(model, batch_tokens=8192)
    return [(cell, row) for cell, (row,) in needle.measure(engine, needle.plan(**options))]


class Reader:
    """A planted reader behind the Model protocol: it repeats what followed the same `cue` tokens.

    It sees the last `span` tokens only. What it has not seen it guesses to be token 3.
    """

    facts = {}  # noqa: RUF012

    device = "cpu"

    def __init__(self, border, span, cue):
        self.entry, self.border, self.vocab = border.entry, border, border.vocab
        self.span, self.cue = span, cue

    def states(self, ids, lengths, rows, positions, origins=None):
        out = torch.zeros(len(rows), self.vocab)
        for n, (row, at) in enumerate(zip(rows.tolist(), positions.tolist(), strict=True)):
            first = max(0, int(lengths[row]) - self.span)
            seen = ids[row, first:at].tolist()
            cue = seen[-self.cue :]
            places = [i for i in range(len(cue), len(seen)) if seen[i - len(cue) : i] == cue]
            out[n, seen[places[0]] if places else 3] = 1
        return out

    def logprobs(self, states):
        rows = (0.999 * states + 0.001 / self.vocab).log()
        if self.entry.mask_id is not None:
            rows[:, self.entry.mask_id] = -torch.inf
        return rows.log_softmax(-1)


def reader(model, span=10**6, cue=4):
    return Reader(models.load_border(models.resolve(str(model))), span, cue)


def written(folder, kind, name="m"):
    """A network of random weights with a context of 1024 byte-like tokens."""
    if kind == "masked":
        return write_llada(folder / name, context=1024)
    return write_llama(folder / name, config={"max_position_embeddings": 1024})


def test_defaults():
    cells = needle.plan()
    assert sorted({c.context_length for c in cells}) == [256, 512, 1024, 2048, 4096]
    assert sorted({c.depth for c in cells}) == [-1, *range(0, 101, 10)]
    assert len(cells) == 5 * 12 * 10
    assert (cells[0].needles, cells[0].lexicon, cells[0].seed) == ("needle", "full", 0)
    assert all(c.depth >= 0 for c in needle.plan(baseline="none"))


@pytest.mark.parametrize("model", PAIR)
def test_a_prompt_is_filler_with_one_fact_and_the_question_at_its_end(model):
    cells, queries, border = recorded(model, **SMALL, lengths=(64, 128), depths=(0, 100), limit=3)
    source = load("needle", "small")
    for cell, query in zip(cells, queries, strict=True):
        hidden, text = source.needle(cell.item, 0), border.decode(query.ids)
        asked = f" {hidden.opening}" + ("<mask>" if model == "oracle" else "")
        assert text.endswith(asked)
        assert text.count(hidden.fact) == (cell.depth >= 0)
        assert text.startswith(f" {hidden.fact}") == (cell.depth == 0)
        assert text.removesuffix(asked).endswith(hidden.fact) == (cell.depth == 100)
        assert len(query.ids) + (model != "oracle") <= cell.context_length
        assert query.positions == (len(query.ids) - (model == "oracle"),)


def test_masked_and_causal_models_read_the_same_texts():
    options = {**SMALL, "lengths": (64, 256), "depths": (0, 30, 100), "limit": 4}
    (cells, masked, border), (others, causal, _) = (recorded(m, **options) for m in PAIR)
    assert cells == others
    for one, other in zip(masked, causal, strict=True):
        assert one.ids == (*other.ids, border.entry.mask_id)


def test_several_tokens_are_asked_one_after_another(tmp_path):
    """Byte tokens: the answer's masks turn into its tokens, one more with every query."""
    options = {"lengths": (400,), "depths": (50,), "limit": 1, "baseline": "none"}
    _, queries, border = recorded(written(tmp_path / "a", "masked"), **options)
    answer = border.pieces(" brown")
    assert len(queries) == len(answer) == 6
    mask = border.entry.mask_id
    for n, query in enumerate(queries):
        assert query.ids[-6:] == (*answer[:n], *(mask,) * (6 - n))
        assert query.positions == (len(query.ids) - 6 + n,)
    _, (query,), _ = recorded(written(tmp_path / "b", "causal"), **options)
    assert query.ids[-5:] == answer[:-1]
    assert query.ids[:-5] == queries[0].ids[:-6]
    assert query.positions == tuple(range(len(query.ids) - 5, len(query.ids) + 1))


def scored(model, ids, at):
    """Log-probabilities of the token at a position of one sequence."""
    batch, lengths = torch.tensor([ids]), torch.tensor([len(ids)])
    return model.logprobs(model.states(batch, lengths, torch.tensor([0]), torch.tensor([at])))[0]


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_the_log_probability_is_the_chain_rules(kind, tmp_path):
    """Against one forward a token, written out here, on a network with random weights."""
    folder = written(tmp_path, kind)
    model = models.load(models.resolve(str(folder)))
    options = {"lengths": (400,), "depths": (0, 100), "limit": 2}
    _, queries, border = recorded(folder, **options)
    for cell, row in measured(model, **options):
        query = next(query for query in queries if query.name == key(cell))
        prompt = list(query.ids[: query.positions[0]])
        answer = border.pieces(load().needle(cell.item, 0).answer)
        steps = []
        for n in range(len(answer)):
            ids = [*prompt, *answer[:n]]
            ids += [border.entry.mask_id] * (len(answer) - n) if kind == "masked" else []
            steps.append(scored(model, ids, len(prompt) + n))
        total = sum(float(step[token]) for step, token in zip(steps, answer, strict=True))
        assert row["logp_right"] == pytest.approx(total, abs=1e-4)
        assert row["top1_prob"] == pytest.approx(float(steps[0].max().exp()), abs=1e-5)
        assert row["correct"] == all(
            int(step.argmax()) == token for step, token in zip(steps, answer, strict=True)
        )
        assert row["right_tokens"] == len(answer)
        assert row["tokens"] == len(prompt) + len(answer)


@pytest.mark.parametrize("model", PAIR)
def test_the_oracle_remembers_no_facts(model):
    """Its language has none: the answer is as likely wherever the fact stands, and without it."""
    oracle = models.load(models.resolve(model))
    options = {**SMALL, "lengths": (64, 128), "depths": (0, 40, 100), "limit": 3}
    rows = {}
    for cell, row in measured(oracle, **options):
        rows.setdefault(cell.item, []).append(row)
    assert len(rows) == 3
    for found in rows.values():
        assert len(found) == 2 * 4
        for row in found[1:]:
            assert row["logp_right"] == pytest.approx(found[0]["logp_right"], abs=1e-5)
            assert row["entropy"] == pytest.approx(found[0]["entropy"], abs=1e-5)
    assert len({round(found[0]["logp_right"], 4) for found in rows.values()}) > 1


def test_a_row_says_which_sentences_stood_around_the_fact():
    """Made again from the row alone, the prompt is the one that was asked."""
    options = {**SMALL, "lengths": (64, 256), "depths": (0, 10, 50, 100), "limit": 2}
    _, queries, border = recorded("oracle", **options)
    source = load(lexicon="small")
    for cell, row in measured(reader("oracle"), **options):
        fact = source.needle(cell.item, cell.seed)
        texts = haystack.filler(fact, cell.item, cell.seed, cell.context_length)[: row["sentences"]]
        ids = border.encode(source.prompt(fact, texts, row["fact_after"]))
        (query,) = (query for query in queries if query.name == key(cell))
        assert query.ids[: query.positions[0]] == ids
        assert {-1: None, 0: 0, 100: row["sentences"]}.get(cell.depth, row["fact_after"]) == (
            row["fact_after"]
        )


@pytest.mark.parametrize("model", PAIR)
def test_a_reader_is_right_everywhere_but_where_there_is_nothing_to_read(model):
    found = measured(reader(model), **SMALL, lengths=(64, 256), depths=(0, 50, 100), limit=4)
    assert len(found) == 2 * 4 * 4
    for cell, row in found:
        assert row["correct"] == (cell.depth >= 0)
        assert (row["logp_right"] > -0.01) == (cell.depth >= 0)
        assert (row["predicted"].strip() == row["right"]) == (cell.depth >= 0)
        assert (row["needle_at"] is None) == (cell.depth < 0)


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_a_reader_finds_answers_of_several_tokens(kind, tmp_path):
    model = reader(written(tmp_path, kind), cue=12)
    found = measured(model, lengths=(500,), depths=(0, 100), limit=4)
    assert all(row["correct"] == (cell.depth >= 0) for cell, row in found)
    assert {row["right_tokens"] for _, row in found} == {6, 1, 7, 3}


@pytest.mark.parametrize("model", PAIR)
def test_a_short_sighted_reader_is_right_within_its_window_only(model):
    """The calibration can fail, and fails exactly where the fact is out of sight."""
    options = {**SMALL, "lengths": (64, 256), "depths": tuple(range(0, 101, 10)), "limit": 4}
    found = measured(reader(model, span=100), **options, baseline="none")
    seen = []
    for _, row in found:
        asked = row["tokens"] - (model != "oracle")  # tokens that the network was given
        seen.append(row["needle_at"] >= asked - 100)
        assert row["correct"] == seen[-1]
    assert 0.2 < sum(seen) / len(seen) < 0.9
    assert all(row["correct"] for cell, row in found if cell.context_length == 64)


def test_chat_models_get_one_message_and_the_answer_begun(tmp_path):
    folder = written(tmp_path, "masked", name="my-instruct")
    _, queries, border = recorded(folder, lengths=(500,), depths=(50,), limit=1, baseline="none")
    hidden, text = load().needle(0, 0), border.decode(queries[0].ids)
    opened = f"{hidden.question}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    assert text.endswith(opened + hidden.opening + MASK_TEXT * 6)
    assert text.count("user<|end_header_id|>\n\nRead this text") == 1
    assert text.count(hidden.fact) == 1


def test_lengths_beyond_the_context_are_left_out_unless_it_is_stretched():
    job = Job("needle", "tiny-mdlm", options={"lengths": (512, 2048), "limit": 1})
    plan = prepare(job)
    assert {cell.context_length for cell in plan.cells} == {512}
    assert plan.refused == {
        "2048 tokens are beyond its context of 1024; see --rope-scale": len(plan.cells)
    }
    stretched = prepare(Job(**job.__dict__ | {"load": LoadOptions(rope_scale=2.0)}))
    assert {cell.context_length for cell in stretched.cells} == {512, 2048}
    assert stretched.refused == {}


def test_a_users_own_needles_come_without_the_bundled_models_defaults(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    plan = prepare(Job("needle", "oracle", options={"needles": str(path), "limit": 2}))
    assert {cell.lexicon for cell in plan.cells} == {"full"}
    with pytest.raises(ProbeError, match="has only 2 needles"):
        prepare(Job("needle", "oracle", options={"needles": str(path), "limit": 3}))
    changed = plan.config["sources"]
    path.write_text(path.read_text().replace("lamp", "tree"))
    load.cache_clear()
    assert plan.config["sources"] != changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": (-1,)}, "--lengths has -1"),
        ({"lengths": (256, 256)}, "--lengths names a value twice"),
        ({"lengths": (256, 20)}, r"--lengths has 20\n.*more than 2\d tokens, for the needle"),
        ({"depths": (101,)}, "--depths has 101"),
        ({"depths": (-1,)}, "--depths has -1"),
        ({"depths": (5, 5)}, "--depths names a value twice"),
        ({"limit": 0}, "--limit has 0"),
        ({"limit": 10**4}, "has only 288 needles"),
        ({"needles": "x"}, "no needles named 'x'"),
        ({"lexicon": "x"}, "no lexicon 'x'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        needle.plan(**options)


def test_a_length_that_holds_no_needle_is_found_before_the_weights_are_loaded():
    plan = prepare(Job("needle", "tiny-mdlm", options={"lengths": (12,), "limit": 3}))
    with pytest.raises(ProbeError, match=r"of 12 tokens can't hold(.|\n)*expected: \d+ or more"):
        fit(plan, models.load_border(plan.entry))
