"""The bundled models' folders: LLaDA's format, a run's records, and what ships in the package."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.shipped import UNIGRAMS
from training import _bundled_check as check
from training import _bundled_data as data
from training import _bundled_rows as rows

NAMES = {"masked": "tiny-mdlm", "adapted": "tiny-mdlm-adapted", "causal": "tiny-arlm"}

LLADA = {
    "model.embed_tokens.": "model.transformer.wte.",
    "model.norm.": "model.transformer.ln_f.",
    "model.layers.": "model.transformer.blocks.",
    ".input_layernorm.": ".attn_norm.",
    ".post_attention_layernorm.": ".ff_norm.",
    ".self_attn.o_proj.": ".attn_out.",
    ".self_attn.": ".",
    ".mlp.gate_proj.": ".ff_proj.",
    ".mlp.up_proj.": ".up_proj.",
    ".mlp.down_proj.": ".ff_out.",
}
"""Llama's names -> the LLaDA authors', in this order."""


def llada_name(name: str) -> str:
    """The LLaDA authors' name of one of Llama's weights."""
    for ours, theirs in LLADA.items():
        name = name.replace(ours, theirs)
    return name


def llada_config(model: LlamaForCausalLM) -> dict[str, object]:
    """config.json with the LLaDA authors' keys."""
    config = model.config
    return {
        "model_type": "llada",
        "architectures": ["LLaDAModelLM"],
        "d_model": config.hidden_size,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "n_layers": config.num_hidden_layers,
        "mlp_hidden_size": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "embedding_size": config.vocab_size,
        "max_sequence_length": config.max_position_embeddings,
        "rope": True,
        "rope_theta": config.rope_parameters["rope_theta"],
        "rms_norm_eps": config.rms_norm_eps,
        "weight_tying": True,
        "include_bias": False,
        "include_qkv_bias": False,
        "block_type": "llama",
        "layer_norm_type": "rms",
        "activation_type": "silu",
        "mask_token_id": data.MASK_ID,
        "eos_token_id": data.EOS_ID,
        "pad_token_id": data.EOS_ID,
        "torch_dtype": "float32",
    }


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """A checkpoint folder: tiny-arlm as transformers reads it, the others in LLaDA's format."""
    folder.mkdir(parents=True, exist_ok=True)
    data.tokenizer().save_pretrained(folder)
    weights = {n: w.contiguous() for n, w in model.state_dict().items() if n != "lm_head.weight"}
    if model.config.is_causal:
        model.config.architectures = ["LlamaForCausalLM"]
        model.config.save_pretrained(folder)
    else:
        weights = {llada_name(name): weight for name, weight in weights.items()}
        text = json.dumps(llada_config(model), indent=2)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    file = folder / "model.safetensors"
    save_file(weights, file, metadata={"format": "pt"})
    file.chmod(0o644)  # the library writes for the owner alone
    (folder / UNIGRAMS).write_text(unigrams(), encoding="utf-8")


@functools.cache
def unigrams() -> str:
    """How often each token stands in a million tokens of the training stream, as a list."""
    counts = np.bincount(rows.batch(4000, 256, "unigrams").ids.ravel())
    texts = [token.replace("\n", "\\n") for token in data.vocabulary()]
    order = np.argsort(-counts, kind="stable")
    return "".join(f"{texts[i]}\t{counts[i]}\n" for i in order if counts[i])


def shipped() -> Path:
    """Where the bundled models lie."""
    return Path(models.__file__).parent / "tiny"


def read_causal(model: LlamaForCausalLM, folder: Path) -> LlamaForCausalLM:
    """A tiny-arlm that was saved before: its weights, into `model`.

    Raises:
        ProbeError: when there is none.
    """
    file = folder / "model.safetensors"
    if not file.is_file():
        raise ProbeError(
            f"no {NAMES['causal']} in {folder}",
            expected="the causal model of this seed, from which the adapted one starts",
            hint="train it first: --model causal, or --model all",
        )
    weights = load_file(file)
    model.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    return model


# ---------------------------------------------------------------------- seeds


def accuracies(output: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Accuracies by seed, model and position, of every report under a folder."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for path in sorted(output.glob("seed*/*/report.json")):
        seed = path.parent.parent.name.removeprefix("seed")
        found.setdefault(seed, {})[path.parent.name] = json.loads(path.read_text())["accuracy"]
    return found


def median_seed(results: dict[str, dict[str, dict[str, float]]]) -> int:
    """The seed to ship: the middle one by accuracy next to the question, mean of all models.

    Args:
        results: accuracies by seed, then model, then position; see `_bundled_check.curve`.
    """
    near = {
        int(seed): sum(curve[str(check.DISTRACTORS)] for curve in kinds.values()) / len(kinds)
        for seed, kinds in results.items()
    }
    order = sorted(near, key=lambda seed: (near[seed], seed))
    return order[(len(order) - 1) // 2]


def chosen_seed(output: Path, wanted: str) -> int:
    """The seed that `--export` names: a number, or `median`.

    Raises:
        ProbeError: neither, or nothing was examined yet.
    """
    found = accuracies(output)
    if wanted == "median" and not found:
        raise ProbeError(f"no report.json under {output}", hint="train first")
    if wanted != "median" and not wanted.isdecimal():
        raise ProbeError(f"--export {wanted}", expected="a seed such as 0, or median")
    return median_seed(found) if wanted == "median" else int(wanted)


def export(output: Path, seed: int, target: Path) -> None:
    """Copies the models of a seed to where the bundled ones lie.

    Raises:
        ProbeError: when that seed was not trained into `output`.
    """
    for name in NAMES.values():
        source = output / f"seed{seed}" / name
        if not (source / "model.safetensors").is_file():
            raise ProbeError(
                f"no {name} in {source}",
                expected="a model that this command trained",
                hint=f"run it with --seeds {seed} --output {output} first",
            )
        shutil.rmtree(target / name, ignore_errors=True)
        shutil.copytree(
            source, target / name, ignore=shutil.ignore_patterns("*.tsv", "report.json")
        )
