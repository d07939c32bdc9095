"""The recipe of the bundled models: directions of attention, losses, folders, a smoke run."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaForCausalLM

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import llada
from mdlm_probe.prompts import toy_language
from training import _bundled_causal as causal
from training import _bundled_check as check
from training import _bundled_data as data
from training import _bundled_files as files
from training import _bundled_rows as rows
from training import bundled

COURSE = bundled.Course(20, ((1.0, 40, 60),))
COURSES = dict.fromkeys(bundled.KINDS, COURSE)
SMALL = bundled.Recipe(width=32, layers=2, heads=2, inner=48, tokens=400, rate=2e-2, **COURSES)
VOCAB = len(data.vocabulary())


def tokens(*shape, seed=0):
    return torch.randint(3, VOCAB, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def pair():
    return {kind: bundled.build(kind, SMALL, 0).eval() for kind in bundled.KINDS}


# ---------------------------------------------------------------------- network


@pytest.mark.parametrize(("kind", "moves"), [("masked", True), ("causal", False)])
def test_whether_the_first_place_sees_the_last(pair, kind, moves):
    ids = tokens(1, 12)
    other = ids.clone()
    other[0, -1] = 3 + (other[0, -1] - 2) % (VOCAB - 3)
    with torch.inference_mode():
        one, two = pair[kind](ids).logits[0, 0], pair[kind](other).logits[0, 0]
    assert (not torch.equal(one, two)) == moves


def test_both_start_from_the_same_weights_and_seeds_differ(pair):
    one, two = pair["masked"].state_dict(), pair["causal"].state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    other = bundled.build("masked", SMALL, 1).state_dict()
    assert not torch.equal(one["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_adapting_keeps_the_weights_and_opens_the_attention(pair):
    model = bundled.adapt(pair["causal"], SMALL).eval()
    assert not model.config.is_causal
    ids = tokens(1, 9)
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, pair["masked"](ids).logits)  # same initial weights
        assert not torch.allclose(model(ids).logits, pair["causal"](ids).logits, atol=1e-3)
    before = pair["causal"].model.norm.weight.clone()
    with torch.no_grad():
        model.model.norm.weight.add_(1)
    assert torch.equal(pair["causal"].model.norm.weight, before)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    bundled.build("causal", SMALL, 5)
    assert torch.equal(torch.rand(1), expected)


def test_the_recipe_fits_the_package():
    model = bundled.build("masked", bundled.Recipe(), 0)
    assert sum(p.numel() for p in model.parameters()) * 4 < 8e6


# ---------------------------------------------------------------------- recipe


@pytest.mark.parametrize("kind", bundled.KINDS)
def test_row_lengths_follow_the_stages(kind):
    course = bundled.Recipe().course(kind)
    for end, low, high in course.stages:
        step = int(end * course.steps) - 1
        found = [course.length(step, seed) for seed in range(200)]
        assert low <= min(found) < 1.3 * low
        assert 0.8 * high < max(found) <= high
    assert course.stages[-1][2] == rows.LONGEST < bundled.CONTEXT


def test_both_that_start_from_scratch_read_the_same_rows_and_the_adapted_one_what_follows():
    recipe = bundled.Recipe()
    causal, masked, adapted = (bundled.Stream(kind, recipe, 0) for kind in bundled.KINDS)
    for step in (0, 11_999):
        drawn = causal.rows(step)
        count, length = drawn.ids.shape
        assert recipe.tokens - length < count * length <= recipe.tokens
        np.testing.assert_array_equal(drawn.ids, masked.rows(step).ids)
        np.testing.assert_array_equal(causal[step][0].numpy(), drawn.ids)
    length = recipe.adapted.length(0, 0)
    again = rows.batch(recipe.tokens // length, length, 0, recipe.causal.steps)
    np.testing.assert_array_equal(adapted.rows(0).ids, again.ids)


def test_a_step_hides_what_its_stage_says_and_repeats():
    course = bundled.Course(10, ((1.0, 60, 60),), ((0.5, 1.0), (1.0, 0.0)))
    stream = bundled.Stream("masked", dataclasses.replace(SMALL, masked=course, tokens=6000), 3)
    for step, only in ((4, True), (5, False)):
        seen, places, targets, weight = stream[step]
        assert all(torch.equal(a, b) for a, b in zip(stream[step], stream[step], strict=True))
        drawn = stream.rows(step)
        ids, answers = torch.from_numpy(drawn.ids), torch.from_numpy(drawn.answers)
        hidden = seen != ids
        assert torch.equal(hidden.flatten().nonzero()[:, 0], places)
        assert torch.equal(ids[hidden], targets)
        assert (weight > 0).all()
        rest = (hidden & ~answers)[answers.any(1)]
        assert rest.any() != only


def test_the_masked_courses_end_with_the_plain_objective():
    for kind in ("masked", "adapted"):
        course = bundled.Recipe().course(kind)
        assert course.answers_only(0) > 0
        assert course.answers_only(course.steps - 1) == 0


def test_shortened_keeps_the_proportion():
    short = bundled.Recipe().shortened(36)
    assert [short.course(kind).steps for kind in bundled.KINDS] == [36, 36, 12]
    assert short.adapted.start == 36
    assert short.causal.stages == bundled.Recipe().causal.stages


def held_out_loss(kind, model):
    """On one batch, averaged over many masks, so that noise can't hide what was learnt."""
    drawn = rows.batch(16, 60, "held out", split="validation")
    ids, answers = torch.from_numpy(drawn.ids), torch.from_numpy(drawn.answers)
    with torch.no_grad():
        if kind == "causal":
            return causal.loss(model(ids).logits, ids).item()
        draws = []
        for i in range(20):
            g = torch.Generator().manual_seed(i)
            batch = bundled.hidden(ids, answers, torch.zeros(16) > 0, g)
            draws.append(bundled.masked_loss(model, batch).item())
        return np.mean(draws)


@pytest.mark.parametrize("kind", bundled.KINDS)
@pytest.mark.slow
def test_a_short_run_learns_and_repeats_bit_by_bit(kind):
    one, two = (bundled.run(kind, bundled.build(kind, SMALL, 0), SMALL, 0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    before = held_out_loss(kind, bundled.build(kind, SMALL, 0))
    assert held_out_loss(kind, one) < before - 0.3


# ---------------------------------------------------------------------- the masked loss


def uniform(kind):
    """A model that gives every token the same probability (tied: all logits are 0)."""
    model = bundled.build(kind, SMALL, 0).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight.zero_()
    return model


@pytest.mark.slow
def test_rows_hide_answers_only_or_anything():
    drawn = rows.batch(12, 120, "loss")
    ids, answers = torch.from_numpy(drawn.ids), torch.from_numpy(drawn.answers)
    only = torch.arange(12) % 2 == 0
    model, losses, elsewhere, seen = uniform("masked"), [], 0, []
    model.model.embed_tokens.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for i in range(300):
        g = torch.Generator().manual_seed(i)
        with torch.no_grad():
            batch = bundled.hidden(ids, answers, only, g)
            losses.append(bundled.masked_loss(model, batch).item())
        hidden = seen[-1] != ids
        assert (seen[-1][hidden] == data.MASK_ID).all()
        assert not (hidden & ~answers)[only & answers.any(1)].any()
        elsewhere += int((hidden & ~answers)[~(only & answers.any(1))].sum())
    assert elsewhere > 1000
    error = np.std(losses) / len(losses) ** 0.5
    # shares are uniform from LOWEST up, and 1/share is exact for each: the mean is log V
    assert abs(np.mean(losses) - math.log(VOCAB)) < 4 * error < 0.3


# ---------------------------------------------------------------------- folders


@pytest.mark.slow
def test_masked_folder_has_the_authors_names_and_nothing_else(pair, tmp_path):
    files.save(pair["masked"], tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    parts = ("attn_norm", "ff_norm", "q_proj", "k_proj", "v_proj", "attn_out")
    inner = ("ff_proj", "up_proj", "ff_out")
    blocks = {
        f"model.transformer.blocks.{i}.{part}.weight" for i in range(2) for part in parts + inner
    }
    tops = {f"model.transformer.{part}.weight" for part in ("wte", "ln_f")}
    assert names == blocks | tops
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == "llada"
    assert config["weight_tying"] is True
    assert (config["d_model"], config["n_layers"], config["mlp_hidden_size"]) == (32, 2, 48)
    assert config["max_sequence_length"] == bundled.CONTEXT
    assert (config["mask_token_id"], config["eos_token_id"]) == (data.MASK_ID, data.EOS_ID)
    assert config["vocab_size"] == config["embedding_size"] == VOCAB


def test_the_llada_reader_undoes_the_names(pair, tmp_path):
    files.save(pair["masked"], tmp_path)
    back = {}
    for name, weight in load_file(tmp_path / "model.safetensors").items():
        for pattern, ours in llada.KEYS.items():
            name = re.sub(pattern, ours, name)
        back[name] = weight
    expected = pair["masked"].state_dict()
    assert set(back) == set(expected) - {"lm_head.weight"}
    assert all(torch.equal(back[name], expected[name]) for name in back)


def test_causal_folder_is_plain_transformers(pair, tmp_path):
    files.save(pair["causal"], tmp_path)
    model = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    ids = tokens(2, 20)
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, pair["causal"](ids).logits)
    assert AutoTokenizer.from_pretrained(tmp_path).decode(ids[0]) == data.tokenizer().decode(ids[0])


@pytest.mark.slow
def test_export_copies_the_pair_without_records(pair, tmp_path):
    with pytest.raises(ProbeError, match="no tiny-mdlm"):
        files.export(tmp_path, 1, tmp_path / "target")
    for kind, name in files.NAMES.items():
        folder = tmp_path / "seed1" / name
        files.save(pair[kind], folder)
        (folder / "log.tsv").write_text("1\t2\t3\n")
        (folder / "report.json").write_text("{}")
    files.export(tmp_path, 1, tmp_path / "target")
    for name in files.NAMES.values():
        found = {p.name for p in (tmp_path / "target" / name).iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json"} <= found
        assert not found & {"log.tsv", "report.json"}


def test_the_median_seed_ships():
    near = {0: (0.9, 1.0), 1: (0.99, 0.99), 2: (0.95, 0.97)}  # means .95, .99, .96
    results = {
        str(s): {"tiny-mdlm": {"0": 1.0, "40": a}, "tiny-arlm": {"0": 0.0, "40": b}}
        for s, (a, b) in near.items()
    }
    assert files.median_seed(results) == 2
    assert files.median_seed({k: results[k] for k in ("0", "1")}) == 0


@pytest.mark.slow
def test_the_command_trains_a_pair_and_examines_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bundled, "Recipe", lambda: SMALL)
    monkeypatch.setattr(check, "report", lambda model: {"accuracy": {"40": 0.5}})
    bundled.main(["--seeds", "4", "--steps", "10", "--output", str(tmp_path)])
    assert files.accuracies(tmp_path) == {"4": {name: {"40": 0.5} for name in files.NAMES.values()}}
    assert "tiny-mdlm, seed 4: 10 steps" in capsys.readouterr().out
    one = load_file(tmp_path / "seed4" / "tiny-arlm" / "model.safetensors")
    two = load_file(tmp_path / "seed4" / "tiny-mdlm" / "model.safetensors")
    assert not torch.equal(one["model.norm.weight"], two["model.transformer.ln_f.weight"])
    monkeypatch.setattr(files, "shipped", lambda: tmp_path / "shipped")
    bundled.main(["--export", "median", "--output", str(tmp_path)])
    assert (tmp_path / "shipped" / "tiny-mdlm" / "config.json").is_file()


def test_the_adapted_model_needs_its_causal_one(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "Recipe", lambda: SMALL)
    with pytest.raises(ProbeError, match=r"no tiny-arlm in .*seed0"):
        bundled.main(["--seeds", "0", "--model", "adapted", "--output", str(tmp_path)])


@pytest.mark.parametrize(
    ("wanted", "message"), [("median", "no report"), ("best", "--export best")]
)
def test_export_names_a_seed(tmp_path, wanted, message):
    with pytest.raises(ProbeError, match=message):
        bundled.main(["--export", wanted, "--output", str(tmp_path)])


# ---------------------------------------------------------------------- the examination


def test_questions_put_the_block_where_asked():
    tokenizer = data.tokenizer()
    for position in (0, 25, 40):
        asked = check.questions(position, 1)
        assert len(asked) == 16
        turns = tokenizer.decode(asked[0].ids).split("\n\n")
        relevant = [k for k, turn in enumerate(turns[:-1]) if not re.search(r"\d", turn)]
        assert relevant == list(range(position, position + 10))
        assert turns[-1].endswith("\nAnswer:[")
        assert data.vocabulary()[asked[0].right] in turns[-1]
    assert len(check.questions(0, 1, shots=0)[0].ids) == 407
    ids = check.asked_ids(asked[:2], masked=True)
    assert tokenizer.decode(ids[0]).endswith("\nAnswer:[<mask>].")


def knows(kind, token):
    """A model whose best guess is one token, wherever it is asked."""
    model = uniform(kind)
    with torch.no_grad():
        model.model.norm.weight.zero_()
    model.lm_head = torch.nn.Linear(SMALL.width, VOCAB)
    with torch.no_grad():
        model.lm_head.bias.copy_(F.one_hot(torch.tensor(token), VOCAB))
    return model


@pytest.mark.parametrize("kind", bundled.KINDS)
def test_accuracy_counts_right_words(kind):
    asked = check.questions(0, 1, shots=0)
    right = asked[0].right
    share = sum(q.right == right for q in asked) / len(asked)
    assert 0 < share < 1
    assert check.accuracy(knows(kind, right), asked) == share
    assert check.accuracy(knows(kind, data.MASK_ID), asked) == 0


def test_exact_nll_is_the_chain_rule_of_the_chain():
    chain = toy_language.prose()
    ids = check.prose_texts(2, 30)
    state = chain.emission.argmax(0)
    rule = (chain.transition.toarray() @ chain.emission)[state]
    tokens = ids - data.ids_of()[chain.tokens[0]]
    by_hand = -np.log(rule[tokens[:, :-1], tokens[:, 1:]])
    np.testing.assert_allclose(check.exact_nll(ids)[:, 1:], by_hand, rtol=1e-9)


def test_uniform_models_cost_log_vocabulary():
    ids = check.prose_texts(2, 6)
    for kind, nll in (("causal", check.causal_nll), ("masked", check.chain_nll)):
        np.testing.assert_allclose(nll(uniform(kind), ids), math.log(VOCAB - 1), rtol=1e-6)


def test_chain_nll_agrees_with_one_forward_a_token(pair):
    ids = check.prose_texts(1, 5)
    found = check.chain_nll(pair["masked"], ids)[0]
    seen = torch.from_numpy(ids).clone()
    seen[0, 3:] = data.MASK_ID
    with torch.inference_mode():
        logits = pair["masked"](seen).logits[0, 3]
        logits[data.MASK_ID] = -torch.inf
    assert found[3] == pytest.approx(-logits.log_softmax(-1)[ids[0, 3]].item(), rel=1e-5)


def test_validity_of_true_prose_is_one_and_of_shuffled_prose_is_not():
    ids = check.prose_texts(20, 60)
    assert check.validity(ids) == {"prose": 1.0, "bigrams": 1.0, "pairs": 1.0}
    shuffled = check.validity(np.random.default_rng(0).permuted(ids, axis=1))
    assert shuffled["prose"] == 1.0
    assert shuffled["bigrams"] < 0.6
    assert shuffled["pairs"] < 0.2
    ids[:, ::3] = data.ids_of()[data.BETWEEN]  # what is no prose breaks no rule of prose
    mixed = check.validity(ids)
    assert mixed["prose"] == pytest.approx(2 / 3)
    assert mixed["bigrams"] == 1.0


@pytest.mark.parametrize("kind", bundled.KINDS)
def test_sampling_fills_every_place(pair, kind):
    out = check.one_by_one(pair[kind], 3, 12, 0)
    assert out.shape == (3, 12)
    assert (out != data.MASK_ID).all()
    np.testing.assert_array_equal(out[:, :5], check.prose_texts(3, 12, "prompts", 0)[:, :5])
    np.testing.assert_array_equal(out, check.one_by_one(pair[kind], 3, 12, 0))
