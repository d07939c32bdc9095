"""The attribution probe on a network whose every gradient is known, up to whole tables.

Its logit is a sum over tokens, each with a weight by the test point, the place of the question, the
token's own place, and the masks at the end: the gradient of each token is its weight.
"""

import itertools

import numpy as np
import pandas as pd
import planted
import pytest
import torch

from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.probes.attribution import probe as attribution
from mdlm_probe.probes.attribution import report

SETS, ITEMS, ORDERS, SHOTS, DISTRACTORS = ("animal-smallest", "verb-largest"), 2, 2, 2, 3
PLACES, MASKS, METHODS = (
    ("left", "middle", "right"),
    (0, 2),
    ("grad-norm", "input-x-gradient", "integrated-gradients"),
)
WIDTH = 4
NAMED = {"example": ("examples", "label"), "group": ("groups", "group")}
NAMED |= {"token": ("tokens", "token_text")}
PLACED = {"example": ["examples_before"], "token": ["token_position"], "group": []}
KEYS = ["question", "appended_masks", "method"]
ITEM = ["set", "item"]


class Network(torch.nn.Module):
    """Embeddings and nothing else."""

    def __init__(self, vocab):
        super().__init__()
        self.embeddings = torch.nn.Embedding(vocab, WIDTH)
        values = np.random.default_rng(0).normal(size=(vocab, WIDTH))
        self.embeddings.weight.data = torch.tensor(values, dtype=torch.float32)

    def get_input_embeddings(self):
        return self.embeddings


class Reader(NativeModel):
    """A network by a rule, which notes what it was asked: a weight for each token of each text."""

    def __init__(self):
        reader = planted.PlantedReader(None, "tiny-mdlm")
        self.border, self.entry, self.vocab = reader.border, reader.entry, reader.vocab
        self.network, self.device, self.shift = Network(self.vocab), "cpu", 0
        self.facts = {"dtype": "float32", "quantize": ""}
        self.questions = planted.Questions(self.border, ITEMS, 1, SHOTS)
        self.end = self.border.pieces("\n\n")[0]
        self.asked = {}

    def body(self, ids, lengths, rows, positions, embeddings=None, origins=None):
        found = []
        for row, at in zip(rows.tolist(), positions.tolist(), strict=True):
            text = tuple(ids[row, : lengths[row]].tolist())
            weights, told = self.read(text, at)
            logs = torch.full((self.vocab,), -30.0)
            for token, probability in told.items():
                logs[token] = np.log(probability)
            values = embeddings[row, : len(text)].sum(-1) / WIDTH**0.5
            found.append(torch.cat([(values * torch.tensor(weights)).sum()[None], logs]))
        return torch.stack(found)

    def logprobs(self, states):
        return states[:, 1:]

    def logit(self, states, tokens):
        return states[:, 0] * self.scale(tokens)

    @staticmethod
    def scale(token):
        return 1 + token / 100

    def read(self, ids, at):
        """Weights, and the answer; notes the text's turns by what stands in them."""
        turns, begins = [], [0, *(i + 1 for i, token in enumerate(ids) if token == self.end)]
        for first, last in itertools.pairwise([*begins, len(ids)]):
            if first < last:
                turns.append((first, last))
        texts = [self.border.decode(ids[first:last]) for first, last in turns]
        mask = self.entry.mask_id
        (asked,) = (n for n, (first, last) in enumerate(turns) if mask in ids[first:last])
        name, item, letter = self.questions.point(texts[asked])
        masks = ids.count(mask) - 1
        place = {0: "left", (SHOTS + DISTRACTORS) // 2: "middle", len(turns) - 1: "right"}[asked]
        weights = [
            (1 + i) * planted.drawn(name, item, asked, masks, i, token)
            for i, token in enumerate(ids)
        ]
        told = self.questions.answer(letter, name, item, place, masks)
        assert at == ids.index(mask)
        labels = ["distractor" if self.questions.size_of(t) else "relevant" for t in texts[:asked]]
        labels += ["question"]
        labels += [
            "distractor" if self.questions.size_of(t) else "relevant" for t in texts[asked + 1 :]
        ]
        key = name, item, place, masks
        self.asked.setdefault(key, {})[ids] = weights, turns, labels, told, letter
        return weights, told

    def sizes(self, ids, weights, told, method):
        """The signed score of each token, and the logit."""
        scale = self.scale(max(told, key=told.get))
        values = self.network.embeddings.weight.data[list(ids)].sum(-1).numpy() / WIDTH**0.5
        slopes = scale * np.array(weights)
        mean = self.network.embeddings.weight.data.mean(0).sum().item() / WIDTH**0.5
        steps = {"grad-norm": 1, "input-x-gradient": values, "integrated-gradients": values - mean}
        return slopes * steps[method], slopes @ values


def expected(reader, method):
    """The rows of all texts that were asked."""
    found, mask = [], reader.entry.mask_id
    for (name, item, place, masks), texts in reader.asked.items():
        assert len(texts) == ORDERS
        for ids, (weights, turns, labels, told, letter) in texts.items():
            scores, logit = reader.sizes(ids, weights, told, method)
            sizes = np.abs(scores)
            top = max(told, key=told.get)
            shared = {"set": name, "item": item, "question": place, "appended_masks": masks}
            shared |= {"method": method, "right": letter, "logit": logit, "text": ids}
            shared |= {"predicted": reader.border.decode([top])}
            shared |= {"correct": reader.border.decode([top]) == letter}
            sums = [sizes[first:last].sum() for first, last in turns]
            largest = max(s for s, label in zip(sums, labels, strict=True) if label != "question")
            at = labels.index("question")
            for n, (total, label) in enumerate(zip(sums, labels, strict=True)):
                line = {
                    "unit": "example",
                    "examples_before": n - (n > at),
                    "label": label,
                    "score": total,
                }
                found.append(shared | line | {"normalised": total / largest})
            own = ids.index(mask)
            others = [i for i, token in enumerate(ids) if token != mask]
            groups = {"answer": [own], "masks": [i for i in range(len(ids)) if i not in others]}
            groups["masks"].remove(own)
            groups |= {"last-50": others[-50:], "all": others}
            beside = np.delete(sizes, own).max()
            for i, token in enumerate(ids):
                line = {
                    "unit": "token",
                    "token_position": i,
                    "label": reader.border.decode([token]),
                }
                line |= {"score": scores[i], "normalised": sizes[i] / sizes.max()}
                found.append(
                    shared | line | {"by_others": np.nan if i == own else sizes[i] / beside}
                )
            for label, places in groups.items():
                if places:
                    mean = sizes[places].mean()
                    line = {
                        "unit": "group",
                        "label": label,
                        "mean": mean,
                        "summed_tokens": len(places),
                    }
                    share = np.nan if label == "answer" else mean / beside
                    found.append(
                        shared | line | {"normalised": mean / sizes.max(), "by_others": share}
                    )
    return pd.DataFrame(found)


@pytest.fixture(scope="module", params=METHODS)
def run(request):
    reader = Reader()
    engine = Engine(reader, batch_tokens=1024, gradients={"tokens": 1024, "gradients": True})
    cells = attribution.plan(
        tasks=SETS,
        question=PLACES,
        masks=MASKS,
        orders=ORDERS,
        shots=SHOTS,
        distractors=DISTRACTORS,
        limit=ITEMS,
        lexicon="small",
        answer="letter",
        method=request.param,
        seed=1,
        ig_steps=2,
        detail="token",
    )
    rows = planted.measured(attribution, engine, cells)
    return report.tables(rows), expected(reader, request.param), rows


def means(rows, value, by):
    """Means over orders, then over test points."""
    each = rows.groupby([*by, *ITEM])[value].mean().reset_index()
    return each.groupby(by)[value].agg(["mean", "count"])


@pytest.mark.slow
def test_every_row_is_the_readers(run):
    """Of all orders together: which is which, the rows don't tell."""
    _, told, rows = run
    columns = ("score", "mean", "normalised", "by_others", "logit")
    for unit, own in told.groupby("unit"):
        places = PLACED[unit]
        names = ["set", "item", *KEYS, "label", *places]
        kind, called = NAMED[unit]
        some, own = (
            f.astype(dict.fromkeys(places, int))
            for f in (rows[kind].rename(columns={called: "label"}), own)
        )
        for column in (c for c in columns if own[c].notna().any()):
            both = [f[[*names, column]].sort_values([*names, column]) for f in (some, own)]
            first, second = (frame.astype({column: float}) for frame in both)
            assert first[names].astype(str).to_numpy().tolist() == (
                second[names].astype(str).to_numpy().tolist()
            )
            np.testing.assert_allclose(first[column], second[column], rtol=1e-4, atol=1e-4)
    answers = ["right", "predicted", "correct"]
    by = [*ITEM, "question", "appended_masks"]
    first, second = (f.drop_duplicates(by).set_index(by)[answers] for f in (rows["groups"], told))
    assert first.sort_index().astype(str).equals(second.sort_index().astype(str))
    assert set(first["correct"]) == {True, False}


def test_positions_are_the_readers(run):
    tables, told, _ = run
    examples = told[(told["unit"] == "example") & (told["label"] != "question")]
    both = pd.concat([examples, examples.assign(label="any")])
    by = [*KEYS, "label", "examples_before"]
    shares, scores = (means(both, value, by) for value in ("normalised", "score"))
    want = {
        key: {"normalised": line["mean"], "n": line["count"], "score": scores.loc[key, "mean"]}
        for key, line in shares.iterrows()
    }
    planted.compare(tables["positions"], [*KEYS, "label", "examples_before"], want, rel=1e-4)


def test_shapes_are_the_readers(run):
    """Five examples, a fifth each."""
    tables, told, _ = run
    examples = told[(told["unit"] == "example") & (told["label"] != "question")]
    each = means(examples, "normalised", [*KEYS, "examples_before"])["mean"]
    want = {}
    for key in itertools.product(PLACES, MASKS, told["method"].unique()):
        first, middle, last = (each[*key, place] for place in (0, 2, 4))
        parts = {"first fifth": first, "middle fifth": middle, "last fifth": last}
        parts |= {"primacy": first - middle, "recency": last - middle}
        want |= {(*key, name): {"value": v, "n": 4, "tasks": 2} for name, v in parts.items()}
    found = tables["shape"]
    kept = found[found["part"].isin(["first fifth", "middle fifth", "last fifth", *report.TESTED])]
    planted.compare(kept, [*KEYS, "part"], want, rel=1e-4)


def test_groups_are_the_readers(run):
    tables, told, _ = run
    by = [*KEYS, "label"]
    groups = told[told["unit"] == "group"]
    shares, others = (means(groups, value, by) for value in ("normalised", "by_others"))
    want = {
        key: {"normalised": line["mean"], "n": 4, "by_others": others.loc[key, "mean"]}
        for key, line in shares.iterrows()
    }
    planted.compare(tables["groups"], [*KEYS, "group"], want, rel=1e-4)


def test_integrated_gradients_of_a_sum_have_no_gap(run):
    tables, told, _ = run
    integrated = told["method"].iloc[0] == "integrated-gradients"
    assert ("gaps" in tables) == integrated
    if integrated:
        texts = told[(told["unit"] == "group") & (told["label"] == "all")].groupby(KEYS)["logit"]
        want = {
            key: {"n": len(part), "mean |gap|": 0, "mean |logit|": part.abs().mean()}
            for key, part in texts
        }
        planted.compare(tables["gaps"].round({"mean |gap|": 2}), KEYS, want, rel=1e-4)
