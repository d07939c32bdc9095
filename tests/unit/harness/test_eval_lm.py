"""Our models as lm-eval's: its own numbers where it has them, ours where it has none."""

import math
from pathlib import Path

import lm_eval
import pytest
from checkpoints import TEMPLATE, write_llada
from eval_tasks import Request
from lm_over import lm_over

from mdlm_probe import harness, models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.harness import continuation_scores, request_tokens, run
from mdlm_probe.likelihood.settings import Settings
from mdlm_probe.models._checkpoint import LoadOptions

NAMES = ("t_choice", "t_long", "t_rolling", "t_written")


def engine(name, **more):
    return Engine(models.load(models.resolve(name)), batch_tokens=2048, **more)


@pytest.fixture(scope="module")
def masked():
    return engine("tiny-mdlm")


@pytest.fixture(scope="module")
def causal():
    return engine("tiny-arlm")


def evaluated(model, folder, names=NAMES, **more):
    loaded = harness.load(names, str(folder))
    more = {"bootstrap_iters": 0, **more}
    return lm_eval.simple_evaluate(
        model=model, tasks=loaded.top, task_manager=loaded.manager, **more
    )


def answers(results):
    return {
        name: [sample["filtered_resps"] for sample in samples]
        for name, samples in results["samples"].items()
    }


@pytest.mark.slow
def test_causal_values_are_those_of_lm_eval_itself(folder, causal):
    from lm_eval.models.huggingface import HFLM

    place = Path(models.__file__).parent / "tiny" / "tiny-arlm"
    theirs = evaluated(HFLM(str(place), device="cpu", dtype="float32", batch_size=2), folder)
    ours = evaluated(lm_over(causal), folder)
    there, here = answers(theirs), answers(ours)
    assert there["t_written"] == here["t_written"]
    assert any(text for (text,) in here["t_written"])
    flags = set()
    for name in ("t_choice", "t_long"):
        for one, other in zip(there[name], here[name], strict=True):
            assert [p for p, _ in other] == pytest.approx([p for p, _ in one], abs=1e-4)
            assert [g for _, g in other] == [g for _, g in one]
            flags |= {g for _, g in one}
    assert flags == {True, False}
    rolled = [[value for (value,) in found["t_rolling"]] for found in (here, there)]
    assert rolled[0] == pytest.approx(rolled[1], abs=1e-3)
    for name in NAMES:
        found = theirs["results"][name]
        numbers = {k: v for k, v in found.items() if isinstance(v, float) and k != "alias"}
        assert {k: ours["results"][name][k] for k in numbers} == pytest.approx(numbers, rel=1e-4)


@pytest.mark.parametrize("name", ["tiny-mdlm", "tiny-arlm", "oracle"])
@pytest.mark.slow
def test_lm_eval_makes_the_model_by_name(name, folder):
    found = evaluated("mdlm", folder, ("t_choice",), model_args={"model": name}, limit=2)
    text = f"model={name},draws=32,batch_tokens=1024"
    again = evaluated("mdlm", folder, ("t_choice",), model_args=text, limit=2)
    one, other = answers(found)["t_choice"], answers(again)["t_choice"]
    for a, b in zip(one, other, strict=True):
        assert [p for p, _ in a] == pytest.approx([p for p, _ in b], abs=1e-4)
    assert again["config"]["mdlm"]["likelihood"]["draws"] == 32


def test_a_masked_choice_of_one_token_is_the_engines_row(folder, masked):
    samples = evaluated(lm_over(masked), folder, ("t_choice",))["samples"]["t_choice"]
    for sample in samples:
        (context, _), *_ = sample["arguments"]
        tokens = tuple(masked.border.token(c) for _, c in sample["arguments"])
        ids = (*masked.border.encode(context), masked.entry.mask_id)
        readouts = (Readout("chosen", tokens), Readout("top_id"))
        (answer,) = masked.ask([Query(ids, (len(ids) - 1,), readouts)])
        logps, top = answer["chosen"], answer["top_id"]
        found = sample["filtered_resps"]
        assert [logp for logp, _ in found] == pytest.approx(logps[0].tolist(), abs=1e-5)
        assert [greedy for _, greedy in found] == [token == top[0] for token in tokens]


def test_greedy_flags_of_short_answers_cost_no_pass(masked, causal):
    for model in (masked, causal):
        calls = []
        lm = lm_over(model)
        lm.session.engine.ask = lambda queries, inner=model.ask, calls=calls: (
            calls.extend(queries) or inner(queries)
        )
        found = lm.loglikelihood([Request(" the", f" {w}") for w in ("wind", "door", "hill")])
        assert len(calls) == 1
        assert len({p for p, _ in found}) == 3
        top = max(found)
        assert [g for _, g in found].count(True) <= 1
        assert not any(g for p, g in found if p < top[0])


def test_values_do_not_depend_on_order_or_company(masked):
    settings = Settings(bound=1, draws=8)
    long = " loved a door kept that door behind this"
    asked = [Request(" the", " wind" + long), Request(" the pale", " storm" + long)]
    asked += [Request(" this", " hill")]
    together = lm_over(masked, settings).loglikelihood(asked)
    back = lm_over(masked, settings).loglikelihood(asked[::-1])[::-1]
    alone = [lm_over(masked, settings).loglikelihood([one])[0] for one in asked]
    for one, other, third in zip(together, back, alone, strict=True):
        assert one[0] == pytest.approx(other[0], abs=1e-4)
        assert one[0] == pytest.approx(third[0], abs=1e-4)
        assert one[1] == other[1] == third[1]
    other_seed = lm_over(masked, settings, seed=1).loglikelihood(asked)
    assert other_seed[0][0] != pytest.approx(together[0][0], abs=1e-3)
    assert other_seed[2][0] == pytest.approx(together[2][0], abs=1e-5)


def test_contexts_and_continuations_are_cut_where_lm_eval_cuts(causal):
    border = causal.border
    the, wind, begin = border.pieces(" the"), border.pieces(" wind"), request_tokens.prefix(border)
    assert request_tokens.pair(border, " the ", "wind") == (the, wind, False)
    assert request_tokens.pair(border, "", " wind") == ((begin,), wind, False)
    assert request_tokens.pair(border, "  ", "wind").before == (begin,)
    assert request_tokens.pair(border, "", "<eos> wind") == ((begin,), wind, False)
    assert request_tokens.clip((1, 2, 3), (4, 5), 4) == ((2, 3, 4, 5), 2, 1)
    assert request_tokens.clip((1, 2), (3, 4, 5, 6), 3) == ((4, 5, 6), 1, 3)


class Notes:
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)

    def start(self, *_):
        pass

    advance = start


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_what_is_too_long_is_cut_on_the_left_and_counted(kind, request):
    model = request.getfixturevalue(kind)
    room = model.entry.context
    progress = Notes()
    lm = lm_over(model, progress=progress)
    (cut,) = lm.loglikelihood([Request(" the" * (room + 50), " wind")])
    kept = room if kind == "causal" else room - 1
    (short,) = lm.loglikelihood([Request(" the" * kept, " wind")])
    assert cut[0] == pytest.approx(short[0], abs=1e-5)
    assert progress.notes == [
        f"{model.entry.name}: 1 contexts cut on the left to the {room} tokens that it reads"
    ]
    with pytest.raises(ProbeError, match="continuation of a request is empty"):
        lm.loglikelihood([Request(" the", "")])


def test_a_document_longer_than_the_context_is_read_in_windows(causal):
    text = " the wind loved a door." * 250
    (found,) = lm_over(causal).loglikelihood_rolling([Request(text)])
    ids, room = causal.border.pieces(text), causal.entry.context
    assert len(ids) > room
    before, total, begin = (request_tokens.prefix(causal.border),), 0.0, 0
    while begin < len(ids):
        new = ids[begin : begin + room]
        if begin:
            before = ids[max(0, begin + len(new) - room - 1) : begin]
        own = Readout("own", (len(before), *new))
        query = Query((before + new)[:-1], tuple(range(len(before), len(before + new))), (own,))
        total += float(causal.ask([query])[0]["own"].sum())
        begin += len(new)
    assert found == pytest.approx(total, rel=1e-6)


def test_parts_of_a_document_add_up():
    one = continuation_scores.Scored(-1.0, 0.3, 4, "mc")
    both = continuation_scores.total([one, continuation_scores.Scored(-2.0, 0.4, 1, "exact")])
    assert both == continuation_scores.Scored(-3.0, pytest.approx(0.5), 5, "exact+mc")


def test_decide_ranks_a_documents_choices_together(masked):
    settings = Settings(bound=1, draws=128, decide=True)
    long = " loved a door kept that door behind this frozen road"
    near = [Request(" the", text, task="t", doc=0, idx=i) for i, text in enumerate(
        [" wind" + long, " often often often often often often often often often often often"]
    )]  # fmt: skip
    lm = lm_over(masked, settings)
    lm.loglikelihood(near)
    passes = [lm.record(request).passes for request in near]
    assert max(passes) < 128
    # without a rival there is nothing to decide
    lone = lm_over(masked, settings)
    lone.loglikelihood([Request(" the", near[0].args[1])])
    (alone,) = lone.scored.values()
    assert alone.passes > max(passes)
    # two contexts are differences, as in mutual information: no ranking
    apart = lm_over(masked, settings)
    apart.loglikelihood([near[0], Request("", near[1].args[1], task="t", doc=0, idx=1)])
    assert apart.record(near[0]).passes == alone.passes


@pytest.mark.parametrize("kind", ["masked", "causal"])
def test_repeats_are_drawn_anew_and_the_same_in_any_company(kind, request):
    model = request.getfixturevalue(kind)
    drawn = {"max_gen_toks": 8, "temperature": 1.0, "do_sample": True}
    one, other = Request(" the wind", drawn), Request(" the quiet hill", drawn)
    first = lm_over(model).generate_until([one] * 3 + [other])
    assert len(set(first[:3])) == 3
    again = lm_over(model).generate_until([other, *[one] * 2])
    assert again == [first[3], *first[:2]]
    greedy = Request(" the wind", {"max_gen_toks": 8, "until": []})
    lm = lm_over(model)
    assert len(set(lm.generate_until([greedy] * 3))) == 1
    assert len(lm.answers) == 1
    with pytest.raises(ProbeError, match="asks for 2000 tokens"):
        lm.generate_until([Request(" the", {"max_gen_toks": 2000, "block": 2000})])


# ---------------------------------------------------------------------- chats


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    place = write_llada(tmp_path_factory.mktemp("chat") / "tiny-chat", template=TEMPLATE)
    load = LoadOptions(style="chat")
    entry = load.apply(models.resolve(str(place)))
    return lm_over(Engine(models.load(entry, load), batch_tokens=2048), progress=Notes())


def test_chats_are_rendered_by_the_checkpoints_template(chat):
    messages = [
        {"role": "system", "content": "red"},
        {"role": "user", "content": "cat"},
        {"role": "assistant", "content": "dog"},
        {"role": "user", "content": "cat"},
    ]
    border = chat.border
    assert chat.apply_chat_template(messages) == border.render(messages, True)
    opened = chat.apply_chat_template(messages[:3], add_generation_prompt=False)
    assert opened == border.render(messages[:2], True) + "dog"
    assert chat.chat_template(True) == border.template
    assert chat.chat_template(False) is None
    assert chat.tokenizer_name.startswith("tiny-chat-")
    # a text that brings its own first token is given no second one
    ids = request_tokens.encode(border, border.render(messages, True))
    assert ids.count(ids[0]) == 1


def test_a_template_without_system_messages_gets_the_chat_without_them(chat):
    border = chat.border
    whole = border.template
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    border.template = refusal + whole
    border.__dict__.pop("_compiled", None)
    messages = [{"role": "system", "content": "red"}, {"role": "user", "content": "cat"}]
    try:
        assert chat.apply_chat_template(messages) == border.render(messages[1:], True)
        assert "takes no system message" in chat.progress.notes[-1]
    finally:
        border.template = whole
        border.__dict__.pop("_compiled", None)


# ---------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "name no model"),
        ({"model": "tiny-mdlm", "drws": 3}, "did you mean 'draws'"),
        ({"model": "tiny-mdlm", "estimator": "exact"}, "unknown estimator 'exact'"),
        ({"model": "tiny-mdlm", "draws": 0}, "--draws has 0"),
        ({"model": "tny-mdlm"}, "tiny-mdlm"),
    ],
)
def test_model_arguments_that_are_wrong(given, message):
    with pytest.raises(ProbeError, match=message):
        run.ProbeLM.create_from_arg_obj(given)


def test_a_repeated_pass_is_remembered_exactly(masked):
    noting = continuation_scores.TopTokenRecorder(masked)
    ids = (*masked.border.encode(" the wind"), masked.entry.mask_id)
    asked = [Query(ids, (len(ids) - 1,), (Readout(name),)) for name in ("entropy", "top_id")]
    entropy, top = noting.ask(asked[:1])[0]["entropy"], noting.ask(asked[1:])[0]["top_id"]
    first, second = masked.ask(asked)
    plain, right = first["entropy"], second["top_id"]
    assert entropy == pytest.approx(plain)
    assert top.tolist() == right.tolist()
    assert math.isfinite(float(entropy[0]))
