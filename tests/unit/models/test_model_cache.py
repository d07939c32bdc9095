"""Keys and values kept between passes: exact where they must be, and what they stand for else."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
import torch
from checkpoints import (
    CAUSAL_TYPES,
    MASK_TEXT,
    special_ids,
    write_causal,
    write_dream,
    write_llada,
    write_llama,
)
from plain import LLADA, LLAMA, Plain, close, read
from torch.utils._python_dispatch import TorchDispatchMode

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions
from mdlm_probe.models._kv_cache import KVCache

MASK = special_ids()[MASK_TEXT]
TEXT = [5, 60, MASK, 200, 12, MASK, 33, MASK, 71, 18]
OTHER = [5, 60, 44, 200, 12, MASK, 90, 91, 71, MASK]
BATCH = [TEXT, TEXT[:4], TEXT[2:9]]
WRITERS = {"llada": write_llada, "dream": write_dream, "llama": write_llama}
NAMES = {
    "llada": {"names": LLADA, "kv_heads": 4},
    "dream": {"names": LLAMA, "kv_heads": 2, "theta": 1e6, "eps": 1e-6},
}
KV_HEADS = {"llada": 4, "dream": 2, "llama": 2}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("cache")
    return {k: write(root / k, kv_heads=KV_HEADS[k]) for k, write in WRITERS.items()}


@pytest.fixture(scope="module")
def loaded(folders):
    return {kind: models.load(models.resolve(str(folder))) for kind, folder in folders.items()}


@pytest.fixture(params=WRITERS)
def model(request, loaded):
    return loaded[request.param]


@pytest.fixture(params=NAMES)
def masked(request, loaded, folders):
    """A masked model, and its weights for the brute force."""
    kind = request.param
    return loaded[kind], {"weights": read(folders[kind]), **NAMES[kind]}


def padded(batch):
    ids = torch.full((len(batch), max(map(len, batch))), 7)
    for row, sequence in enumerate(batch):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    return ids, torch.tensor([len(sequence) for sequence in batch])


def every_place(model, batch):
    """All (row, position) that the model predicts from a token of its own."""
    return [(row, i + model.shift) for row, ids in enumerate(batch) for i in range(len(ids))]


def feed(model, batch, computed, asked, caches):
    rows, positions = (torch.tensor(part) for part in zip(*asked, strict=True))
    computed = None if computed is None else torch.tensor(computed)
    return model.states_with_cache(*padded(batch), computed, rows, positions, caches)


def exact(model, batch, asked):
    rows, positions = (torch.tensor(part) for part in zip(*asked, strict=True))
    return model.states(*padded(batch), rows, positions)


def empty(batch):
    return [KVCache() for _ in batch]


def filled(model, batch):
    caches = empty(batch)
    feed(model, batch, None, [(0, 1)], caches)
    return caches


# ---------------------------------------------------------------------- exact


def test_all_fed_equals_states(model):
    caches, asked = empty(BATCH), every_place(model, BATCH)
    assert close(feed(model, BATCH, None, asked, caches), exact(model, BATCH, asked), 1e-5)
    heads = model.network.config.num_key_value_heads
    for one, ids in zip(caches, BATCH, strict=True):
        assert len(one.layers) == 2
        for keys, values in one.layers:
            assert keys.shape == values.shape == (heads, len(ids), 8)
            assert keys.untyped_storage().nbytes() == 4 * len(BATCH) * heads * len(TEXT) * 8


@pytest.mark.parametrize("batch", [[TEXT], [TEXT, OTHER]])
def test_all_named_as_fresh_equals_states(model, batch):
    """With nothing cached, then over what another canvas left, which mustn't show."""
    everything, caches = [list(range(len(TEXT)))] * len(batch), empty(batch)
    for canvas in (batch, [OTHER] * len(batch), batch):
        asked = every_place(model, canvas)
        ours = feed(model, canvas, everything, asked, caches)
        assert close(ours, exact(model, canvas, asked), 1e-5)


def test_a_block_of_the_same_canvas_is_exact(model):
    """Nothing has changed, so nothing but the computed tokens' own rows is computed again."""
    computed = [[3, 4, 5, 8], [0, 1, 2, 3], [1, 2, 3, 6]]
    caches = filled(model, BATCH)
    asked = [(row, i + model.shift) for row, places in enumerate(computed) for i in places]
    where = [part.data_ptr() for one in caches for pair in one.layers for part in pair]
    for _ in range(2):
        ours = feed(model, BATCH, computed, asked, caches)
        assert close(ours, exact(model, BATCH, asked), 1e-5)
    # written in place, never copied
    assert where == [part.data_ptr() for one in caches for pair in one.layers for part in pair]


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
@pytest.mark.parametrize("kind", ["llada", "llama"])
def test_quantised_networks(tmp_path, kind, bits):
    folder = WRITERS[kind](tmp_path / "m", hidden=64, intermediate=128)
    model = models.load(models.resolve(str(folder)), LoadOptions(quantize=bits))
    with torch.inference_mode():
        caches = filled(model, BATCH)
        computed = [[6, 7], [2, 3], [1, 2]]
        asked = [(row, i + model.shift) for row, places in enumerate(computed) for i in places]
        ours = feed(model, BATCH, computed, asked, caches)
        assert close(ours, exact(model, BATCH, asked), 1e-4)


# ---------------------------------------------------------------------- batches that change

BATCHES = [(0, 1, 2, 3), (3, 1), (1,), (2, 0), (0, 1, 2, 3), (2, 3), (1, 0)]
"""Of four sequences, those of each pass, in its order."""


def test_sequences_may_leave_come_back_and_change_places(model):
    """Nothing of one shows in another, whatever it was with before; as each would be alone."""
    grown = [TEXT[:5], TEXT[:7], OTHER[:4], OTHER[:6]]
    caches, alone = empty(grown), empty(grown)
    feed(model, grown[:2], None, [(0, 1)], caches[:2])
    feed(model, grown[2:], None, [(0, 1)], caches[2:])
    for own, ids in zip(alone, grown, strict=True):
        feed(model, [ids], None, [(0, 1)], [own])
    for number, rows in enumerate(BATCHES):
        more = number % 3 == 2  # in other passes nothing grows
        for row in rows:
            grown[row] = [*grown[row], 20 + 9 * row + number] if more else [*grown[row]]
            grown[row][-2] = 30 + row + 7 * number
        computed = [[len(grown[row]) - 2, len(grown[row]) - 1] for row in rows]
        batch = [grown[row] for row in rows]
        asked = [(i, at + model.shift) for i, own in enumerate(computed) for at in own]
        ours = feed(model, batch, computed, asked, [caches[row] for row in rows])
        own = [
            feed(model, [ids], [places], [(0, at + model.shift) for at in places], [alone[row]])
            for row, ids, places in zip(rows, batch, computed, strict=True)
        ]
        assert close(ours, torch.cat(own), 1e-5)
    for mine, own in zip(caches, alone, strict=True):
        for pair, other in zip(mine.layers, own.layers, strict=True):
            assert all(close(a, b, 1e-5) for a, b in zip(pair, other, strict=True))


def test_what_is_behind_a_sequence_is_zero(model):
    caches = filled(model, BATCH)
    feed(model, BATCH[:2], [[4, 5], [1, 2]], [(0, 4 + model.shift)], caches[:2])
    for one in caches:
        for held in one.layers:
            assert all(not part[held.row, :, held.length :].any() for part in held.whole)


class Calls(TorchDispatchMode):
    """Counts what is started on a device, each by its name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, call, types, given=(), named=None):
        self.counts[call.__name__] += 1
        return call(*given, **named or {})


def test_a_step_starts_as_much_for_many_sequences_as_for_one(model):
    """Writing and reading what is kept; each start takes a GPU some microseconds."""
    found = []
    for count in (1, 2, 6):
        caches, given = filled(model, [TEXT] * count), padded([TEXT] * count)
        computed, asked = torch.tensor([[3, 4]] * count), torch.tensor([0])
        with Calls() as calls:
            model.states_with_cache(*given, computed, asked, asked + 3 + model.shift, caches)
        found.append({n: calls.counts[n] for n in ("copy_.default", "index_put_.default")})
    assert found == [{"copy_.default": 0, "index_put_.default": 4}] * 3  # keys and values twice


# ---------------------------------------------------------------------- causal


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("batch", [[TEXT], [TEXT, TEXT[:4], OTHER[2:9]]])
def test_some_tokens_at_a_time_equal_the_whole(loaded, batch, count):
    model, caches = loaded["llama"], empty(batch)
    grown = [list(ids) for ids in batch]
    asked = every_place(model, grown)
    assert close(feed(model, grown, None, asked, caches), exact(model, grown, asked), 1e-5)
    for step in range(3):
        computed = [list(range(len(ids), len(ids) + count)) for ids in grown]
        for row, ids in enumerate(grown):
            ids += [30 + 7 * row + 2 * step + n for n in range(count)]
        asked = [(row, i + 1) for row, places in enumerate(computed) for i in places]
        assert close(feed(model, grown, computed, asked, caches), exact(model, grown, asked), 1e-5)
    assert [one.layers[1].length for one in caches] == [len(ids) for ids in grown]


@pytest.mark.parametrize("kind", CAUSAL_TYPES)
def test_other_architectures_equal_their_whole(tmp_path, kind):
    change = {"sliding_window": None} if kind == "mistral" else {}
    folder, _ = write_causal(tmp_path / "m", kind, **change)
    model = models.load(models.resolve(str(folder)))
    caches, prompts = empty([1, 2]), [TEXT[:6], TEXT[:3]]
    feed(model, prompts, None, [(0, 1)], caches)
    batch, computed, asked = [TEXT[:8], TEXT[:5]], [[6, 7], [3, 4]], [(0, 7), (0, 8), (1, 5)]
    assert close(feed(model, batch, computed, asked, caches), exact(model, batch, asked), 1e-5)


def greedy(model, batch, count):
    """The most probable token, again and again; keys and values kept."""
    grown, caches, computed = [list(ids) for ids in batch], empty(batch), None
    for _ in range(count):
        ends = [(row, len(ids)) for row, ids in enumerate(grown)]
        best = model.logprobs(feed(model, grown, computed, ends, caches)).argmax(-1).tolist()
        computed = [[len(ids)] for ids in grown]
        for ids, token in zip(grown, best, strict=True):
            ids.append(token)
    return [ids[len(prompt) :] for ids, prompt in zip(grown, batch, strict=True)]


def test_greedy_decoding_equals_that_of_transformers(loaded):
    model, batch = loaded["llama"], [[5, 60, 7], [12, 9, 33, 200, 41, 8], [71]]
    whole = [
        model.network.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False,
            max_new_tokens=20,
            pad_token_id=0,
        )[0, len(ids) :].tolist()
        for ids in batch
    ]
    assert all(len(set(ids)) > 3 and len(ids) == 20 for ids in whole)
    assert [greedy(model, [ids], 20)[0] for ids in batch] == whole
    assert greedy(model, batch, 20) == whole


# ---------------------------------------------------------------------- masked: brute force


@dataclass
class Kept(Plain):
    """`Plain` with the keys and values of earlier canvases everywhere but at `computed`."""

    kept: dict = field(default_factory=dict)
    computed: list | None = None

    def _attend(self, at, x):
        w, n = self.weights, self.names
        size = x.shape[1] // self.heads
        q, k, v = (
            (x @ w[at + n[r] + ".weight"].T + w.get(at + n[r] + ".bias", 0)).unflatten(
                1, (-1, size)
            )
            for r in "qkv"
        )
        q, k = self._rotate(q), self._rotate(k)
        if self.computed is not None:
            for old, new in zip(self.kept[at], (k, v), strict=True):
                old[self.computed] = new[self.computed]
            k, v = self.kept[at]
        self.kept[at] = k, v
        k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        weights = (torch.einsum("qhd,khd->hqk", q, k) / size**0.5).softmax(-1)
        return torch.einsum("hqk,khd->qhd", weights, v).flatten(1) @ w[at + n["o"]].T


def test_the_brute_force_is_plain_where_all_is_fresh(masked):
    _, facts = masked
    kept, plain = Kept(**facts), Plain(**facts)
    assert close(kept.logprobs(TEXT, MASK), plain.logprobs(TEXT, MASK), 1e-12)
    kept.computed = list(range(len(OTHER)))
    assert close(kept.logprobs(OTHER, MASK), plain.logprobs(OTHER, MASK), 1e-12)


# two passes after the first: the second reads what the first has written
PASSES = [
    ([OTHER], [[2, 5, 6, 7]]),
    ([[*OTHER[:8], 15, 16]], [[7, 8, 9]]),
]
RAGGED = [
    ([OTHER, OTHER[:4], OTHER[2:9]], [[5, 6, 7], [0, 2, 3], [3, 4, 5]]),
    ([TEXT, OTHER[:4], OTHER[1:8]], [[0, 1, 9], [1, 2, 3], [0, 5, 6]]),
]


@pytest.mark.parametrize(("start", "passes"), [([TEXT], PASSES), (BATCH, RAGGED)])
def test_a_block_over_another_canvas_equals_the_brute_force(masked, start, passes):
    model, facts = masked
    caches, brute = filled(model, start), [Kept(**facts) for _ in start]
    for one, ids in zip(brute, start, strict=True):
        one.logits(ids)
    for canvas, computed in passes:
        asked = [(row, i + model.shift) for row, places in enumerate(computed) for i in places]
        ours = model.logprobs(feed(model, canvas, computed, asked, caches)).double()
        expected = []
        for one, ids, places in zip(brute, canvas, computed, strict=True):
            one.computed = places
            expected.append(one.logprobs(ids, MASK)[places])
        assert close(ours, torch.cat(expected))
        for one, other in zip(caches, brute, strict=True):
            for pair, theirs in zip(one.layers, other.kept.values(), strict=True):
                for mine, tensor in zip(pair, theirs, strict=True):
                    assert close(mine.double(), tensor.transpose(0, 1), 1e-5)


def test_another_canvas_shows(masked):
    """What is cached for another canvas is an approximation: far from exact, far from its own."""
    model, _ = masked
    places = [3, 4, 5]
    asked = [(0, i + model.shift) for i in places]
    changed = [*TEXT[:3], 44, *TEXT[4:8], 90, 91]
    ours = feed(model, [changed], [places], asked, filled(model, [TEXT]))
    assert (ours - exact(model, [changed], asked)).abs().max() > 1e-3
    assert (ours - exact(model, [TEXT], asked)).abs().max() > 1e-3


# ---------------------------------------------------------------------- what can't be asked


def test_a_shift_needs_the_position_before(loaded):
    model = loaded["dream"]
    caches, asked = filled(model, [TEXT]), [(0, 5), (0, 6)]
    with pytest.raises(AssertionError, match="row 4 is asked, and its token isn't computed"):
        feed(model, [TEXT], [[5, 6]], asked, caches)
    ours = feed(model, [TEXT], [[4, 5]], asked, caches)
    assert close(ours, exact(model, [TEXT], asked), 1e-5)
    with pytest.raises(ProbeError, match="position 0"):
        feed(model, [TEXT], [[0, 1]], [(0, 0)], caches)


@pytest.mark.parametrize(
    ("computed", "match"),
    [
        ([[5, 4]], "don't ascend"),
        ([[4, 4]], "don't ascend"),
        ([[4, 10]], "outside"),
        ([[4, 9]], "of 8 positions are cached, those from 9 on"),
        ([[6, 7]], "of 8 positions are cached, those from 10 on"),
    ],
)
def test_what_is_neither_computed_nor_cached_is_refused(loaded, computed, match):
    model = loaded["llama"]
    caches = filled(model, [TEXT[:8]])
    with pytest.raises(AssertionError, match=match):
        feed(model, [TEXT], computed, [(0, computed[0][0] + 1)], caches)


def test_a_shorter_sequence_than_held_is_refused(loaded):
    caches = filled(loaded["llama"], [TEXT])
    with pytest.raises(AssertionError, match="of 10 positions are cached"):
        feed(loaded["llama"], [TEXT[:8]], [[6, 7]], [(0, 8)], caches)


@pytest.mark.parametrize("fill", [True, False])
def test_a_pass_that_breaks_off_may_be_repeated(loaded, fill):
    """Out of memory in the second layer: the first one's keys and values are written already."""
    model = loaded["llama"]
    caches = filled(model, [TEXT[:7], TEXT[:8]]) if fill else empty([1, 2])
    batch, asked = [TEXT[:9], TEXT], [(0, 9), (1, 10)]
    computed = [[7, 8], [8, 9]] if fill else None

    def fail(*_):
        raise MemoryError

    hook = model.network.base_model.layers[1].self_attn.register_forward_pre_hook(fail)
    with pytest.raises(MemoryError):
        feed(model, batch, computed, asked, caches)
    hook.remove()
    assert caches[0].layers[0].length == 9
    assert close(feed(model, batch, computed, asked, caches), exact(model, batch, asked), 1e-5)
