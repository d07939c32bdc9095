"""Gradient attribution: against differences, sums and zeros that are known without it."""

import pytest
import torch
from checkpoints import special_ids, write_dream, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import gradients
from mdlm_probe.models import LoadOptions

WRITERS = {"llada": write_llada, "dream": write_dream, "causal": write_llama}
METHODS = ("grad-norm", "input-x-gradient", "integrated-gradients")
IDS = torch.tensor([[65, 30, 200, 12, 9, 33, 70], [40, 44, 90, 8, 61, 7, 0]])
LENGTHS = torch.tensor([7, 6])
PLACES = torch.tensor([4, 5])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("gradients")
    return {name: write(root / name) for name, write in WRITERS.items()}


def reload(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


@pytest.fixture(scope="module", params=WRITERS)
def exact(request, folders):
    """A network in float64 throughout: transformers' own norms compute in float32."""
    model = reload(folders[request.param])
    for parent in list(model.network.modules()):
        for name, norm in list(parent.named_children()):
            if type(norm).__name__.endswith("RMSNorm"):
                new = torch.nn.RMSNorm(len(norm.weight), norm.variance_epsilon)
                new.weight.data = norm.weight.data
                setattr(parent, name, new)
    model.network.double()
    return model


def embeddings(model, ids):
    return model.network.get_input_embeddings().weight.detach()[ids]


def logits(model, vectors, row, tokens):
    """The logit of one sequence's token for many versions of its embeddings, the long way round."""
    count, length = len(vectors), int(LENGTHS[row])
    with torch.no_grad():
        out = model.network(inputs_embeds=vectors[:, :length], use_cache=False).logits
    return out[torch.arange(count), int(PLACES[row]) - model.shift, int(tokens[row])]


def differences(model, row, tokens, step=1e-5):
    """The gradient by central differences: every coordinate of every embedding."""
    start = embeddings(model, IDS[row, : LENGTHS[row]])
    nudges = step * torch.eye(start.numel(), dtype=torch.double).view(-1, *start.shape)
    rise = logits(model, start + nudges, row, tokens) - logits(model, start - nudges, row, tokens)
    return (rise / (2 * step)).view(start.shape)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.slow
def test_gradients_are_finite_differences(exact, checkpointing):
    found = {
        method: gradients.attribute(
            exact, IDS, LENGTHS, PLACES, method, checkpointing=checkpointing
        )
        for method in METHODS[:2]
    }
    for row, length in enumerate(LENGTHS.tolist()):
        slope = differences(exact, row, found["grad-norm"].tokens)
        start = embeddings(exact, IDS[row, :length])
        for method, expected in (
            ("grad-norm", slope.norm(dim=-1)),
            ("input-x-gradient", (slope * start).sum(-1)),
        ):
            scores = found[method].scores[row]
            assert scores[:length].tolist() == pytest.approx(expected.tolist(), rel=1e-6, abs=1e-8)
            assert (scores[length:] == 0).all()
        assert (slope.norm(dim=-1) > 0.1).any(), "a gradient of zero would prove nothing"


def test_the_explained_token_is_the_predicted_one(exact):
    """Its logit too, where the whole network says it stands: for Dream one row further left."""
    found = gradients.attribute(exact, IDS, LENGTHS, PLACES)
    for row, length in enumerate(LENGTHS.tolist()):
        with torch.no_grad():
            out = exact.network(input_ids=IDS[row : row + 1, :length], use_cache=False).logits[0]
        scored = out[int(PLACES[row]) - exact.shift]
        if exact.entry.mask_id is not None:
            scored[exact.entry.mask_id] = -torch.inf
        assert int(scored.argmax()) == int(found.tokens[row])
        assert float(scored.max()) == pytest.approx(float(found.logits[row]), rel=1e-9)


def test_the_mask_is_never_explained(folders):
    model = reload(folders["llada"])
    head = model.network.get_output_embeddings().weight
    with torch.no_grad():
        state = model.body(IDS, LENGTHS, torch.tensor([0]), PLACES[:1])[0]
        head[special_ids()["<|mdm_mask|>"]] = 10 * state  # now it has the largest logit by far
    assert int(gradients.attribute(model, IDS, LENGTHS, PLACES).tokens[0]) != model.entry.mask_id


@pytest.mark.slow
def test_integrated_gradients_are_complete(exact):
    """They sum to what the logit rises from the mean embedding to the input, with enough steps."""
    gaps = {}
    for steps in (4, 16, 64):
        found = gradients.attribute(exact, IDS, LENGTHS, PLACES, METHODS[2], steps)
        mean = exact.network.get_input_embeddings().weight.detach().mean(0)
        for row, length in enumerate(LENGTHS.tolist()):
            base = logits(exact, mean.expand(1, length, -1), row, found.tokens)[0]
            gap = float(found.scores[row].sum() - (found.logits[row] - base))
            assert gap == pytest.approx(float(found.gaps[row]), abs=1e-6)
            gaps[steps, row] = abs(gap)
            assert abs(float(found.logits[row] - base)) > 0.1
    for row in range(len(IDS)):
        assert gaps[64, row] < 1e-4
        assert gaps[64, row] <= gaps[16, row] < gaps[4, row]
    assert gradients.attribute(exact, IDS, LENGTHS, PLACES).gaps is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", WRITERS)
def test_tokens_that_a_prediction_cannot_see_have_no_gradient(folders, name, method):
    """A causal model sees what stands before the asked position; a masked one sees everything."""
    scores = gradients.attribute(reload(folders[name]), IDS, LENGTHS, PLACES, method).scores
    for row, (place, length) in enumerate(zip(PLACES.tolist(), LENGTHS.tolist(), strict=True)):
        assert (scores[row, :place] != 0).all()
        assert (scores[row, length:] == 0).all()
        if name == "causal":
            assert (scores[row, place:] == 0).all()
        else:
            assert (scores[row, place:length] != 0).all()


def test_without_attention_only_the_asked_token_counts(folders):
    model = reload(folders["llada"])
    for layer in model.network.base_model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
    scores = gradients.attribute(model, IDS, LENGTHS, PLACES).scores
    assert [row.nonzero().flatten().tolist() for row in scores] == [[4], [5]]


# ---------------------------------------------------------------------- memory


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("method", METHODS)
def test_checkpointing_changes_nothing_but_memory(folders, name, method):
    model = reload(folders[name])
    layers = model.network.base_model.layers
    model.network.config.attention_dropout = 0.5  # would act if layers were made to train
    calls = []
    hooks = [layer.mlp.register_forward_pre_hook(lambda *_: calls.append(1)) for layer in layers]
    kept = []
    for checkpointing in (False, True):
        calls.clear()
        kept.append(gradients.attribute(model, IDS, LENGTHS, PLACES, method, 4, checkpointing))
        passes = 1 if method != METHODS[2] else 4
        alone = 0 if method != METHODS[2] else 2  # forward passes without a way back
        assert len(calls) == len(layers) * (passes * (1 + checkpointing) + alone)
    for hook in hooks:
        hook.remove()
    assert torch.equal(kept[0].scores, kept[1].scores)
    assert torch.equal(kept[0].logits, kept[1].logits)
    assert not any("forward" in layer.__dict__ or layer.training for layer in layers)


def test_checkpointing_keeps_less(folders):
    model, sizes = reload(folders["llada"]), []

    def count(tensor):
        sizes[-1] += tensor.numel()
        return tensor

    for checkpointing in (False, True):
        sizes.append(0)
        with (
            gradients.differentiable(model.network, checkpointing),
            torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor),
        ):
            leaf = embeddings(model, IDS).requires_grad_()
            model.body(IDS, LENGTHS, torch.arange(2), PLACES, leaf)
    assert sizes[1] < sizes[0] / 3


def test_a_layers_own_forward_comes_back(folders):
    """Libraries that hook layers put a forward of their own into them."""
    model = reload(folders["llada"])
    layer = model.network.base_model.layers[0]
    own = layer.forward = layer.forward
    expected = gradients.attribute(model, IDS, LENGTHS, PLACES).scores
    found = gradients.attribute(model, IDS, LENGTHS, PLACES, checkpointing=True).scores
    assert torch.equal(found, expected)
    assert layer.__dict__["forward"] is own


def test_weights_collect_no_gradients_and_stay_trainable(folders):
    model = reload(folders["llada"])
    weights = dict(model.network.named_parameters())
    frozen = weights.pop("lm_head.weight").requires_grad_(False)
    with gradients.differentiable(model.network, checkpointing=False):
        assert not any(w.requires_grad for w in weights.values())
    for checkpointing in (False, True):
        gradients.attribute(model, IDS, LENGTHS, PLACES, checkpointing=checkpointing)
    assert all(w.grad is None and w.requires_grad for w in weights.values())
    assert not frozen.requires_grad


def test_a_caller_without_gradients_gets_them(folders):
    model = reload(folders["llada"])
    expected = gradients.attribute(model, IDS, LENGTHS, PLACES).scores
    with torch.no_grad():
        assert torch.equal(gradients.attribute(model, IDS, LENGTHS, PLACES).scores, expected)
    with torch.inference_mode():
        assert torch.equal(gradients.attribute(model, IDS, LENGTHS, PLACES).scores, expected)


# ---------------------------------------------------------------------- number formats


@pytest.mark.parametrize("method", METHODS[:2])
def test_bfloat16_is_close_to_float32(method):
    kept = {}
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 400, (4, 60), generator=generator)
    lengths, places = torch.full((4,), 60), torch.tensor([10, 30, 50, 59])
    for dtype in ("float32", "bfloat16"):
        model = models.load(models.resolve("tiny-mdlm"), LoadOptions(dtype=dtype))
        ids[torch.arange(4), places] = model.entry.mask_id
        kept[dtype] = gradients.attribute(model, ids, lengths, places, method)
        assert kept[dtype].scores.dtype == kept[dtype].logits.dtype == torch.float32
    one, other = kept["float32"], kept["bfloat16"]
    assert torch.equal(one.tokens, other.tokens)
    assert ((one.scores - other.scores).norm(dim=-1) < 0.1 * one.scores.norm(dim=-1)).all()
    assert not torch.equal(one.scores, other.scores)


def dequantised(folder, quantised, **options):
    """A plain network with the weights that the quantised one computes with."""
    model = reload(folder, **options)
    plain = dict(model.network.named_modules())
    for name, module in quantised.network.named_modules():
        if type(module).__name__ == "PackedLinear":
            plain[name].weight.data = module.weight.dequantize().to(plain[name].weight.dtype)
    return model


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-4), ("bfloat16", 0.1)])
@pytest.mark.slow
def test_quantised_weights_pass_their_own_gradients(tmp_path, bits, dtype, error, checkpointing):
    folder = write_llada(tmp_path / "m", hidden=128, intermediate=256)  # 4 bit: groups of 128
    quantised = reload(folder, quantize=bits, dtype=dtype)
    gradients.check(quantised)
    found = gradients.attribute(quantised, IDS, LENGTHS, PLACES, checkpointing=checkpointing)
    twin = dequantised(folder, quantised, dtype=dtype)
    expected = gradients.attribute(twin, IDS, LENGTHS, PLACES)
    assert torch.equal(found.tokens, expected.tokens)
    assert (found.scores - expected.scores).norm() < error * expected.scores.norm()
    assert found.scores.dtype == torch.float32


# ---------------------------------------------------------------------- refusals


def test_float16_is_refused(folders):
    with pytest.raises(ProbeError, match="'llada' is in float16") as error:
        gradients.check(reload(folders["llada"], dtype="float16"))
    assert "bfloat16" in error.value.hint


def test_models_without_a_network_are_refused():
    with pytest.raises(ProbeError, match="'oracle' is computed without a network"):
        gradients.check(models.load(models.resolve("oracle")))


def test_weights_that_pass_no_gradients_are_refused(folders, monkeypatch):
    def broken(*_):
        raise NotImplementedError("no backward kernel")

    plain, quantised = reload(folders["llada"]), reload(folders["llada"], quantize="8bit")
    for model in (plain, quantised):
        monkeypatch.setattr(model, "body", broken)
    with pytest.raises(ProbeError, match="no gradients pass its 8bit weights: no back") as error:
        gradients.check(quantised)
    assert "without --quantize" in error.value.hint
    with pytest.raises(NotImplementedError):
        gradients.check(plain)


def test_gradients_of_zero_are_refused(folders):
    model = reload(folders["llada"])
    torch.nn.init.zeros_(model.network.get_output_embeddings().weight)
    with pytest.raises(ProbeError, match="zero or not finite"):
        gradients.check(model)
