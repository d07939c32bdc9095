"""LoRA adapters saved by PEFT, trained on native names or on the LLaDA authors' names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _experts, _hub
from mdlm_probe.models._config import REQUIRED, Config
from mdlm_probe.models._json import read_json
from mdlm_probe.models._slack import ADAPTER as WEIGHTS
from mdlm_probe.models._weights import header, original, renamer

PREFIX = "base_model.model."
FLAGS = ("use_rslora", "use_dora", "fan_in_fan_out")
LAYER = re.compile(r"(^|\.)\d+\.")
FOREIGN = "the adapter was trained on another architecture"
MERGED = (
    "a mixture of experts takes adapters of its attention (queries, keys and values each by itself)"
    " and of dense and shared layers: experts are one weight of a layer, and so is the router"
)
PARTS = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector")


@dataclass
class Target:
    """A module that the adapter changes.

    Attributes:
        original: its name in the adapter's file, without PEFT's prefix.
        keys: the file's key of each part, such as `lora_A.weight`.
        rank: rows of A.
    """

    original: str
    keys: dict[str, str]
    rank: int = 0


def apply(network: Any, folder: Path, keys: Mapping[str, str]) -> tuple[Any, dict[str, Any]]:
    """The network with an adapter: merged into its weights, unless these are quantised.

    Args:
        network: the loaded transformers class.
        folder: adapter_config.json and adapter_model.safetensors.
        keys: the family's renaming rules, so that adapters trained on the authors' code fit too.

    Returns:
        The network, and what run.json records of the adapter.

    Raises:
        ProbeError: missing files, pickles, another kind of adapter; missing, unexpected or
            mis-shaped keys, by the adapter's own names.
    """
    from peft import PeftModel, set_peft_model_state_dict

    file = folder / WEIGHTS
    config, targets, unmatched = fitting(network, folder, keys)
    state = _state(file, targets)
    with _experts.exact_targets(network):
        adapted = PeftModel(network, _lora(config, targets))
    outcome: Any = set_peft_model_state_dict(adapted, state)
    missing = [k for k in outcome.missing_keys if "lora_" in k]
    if missing or outcome.unexpected_keys:
        raise ProbeError(
            f"{file} did not load completely: {[*missing, *outcome.unexpected_keys][:3]}",
            hint="peft changed; this tool is tested with 0.21",
        )
    prints = _hub.fingerprints([file, folder / "adapter_config.json"])
    facts = {
        "path": str(folder),
        "hash": prints[WEIGHTS],
        "rank": config.data["r"],
        "alpha": config.data["lora_alpha"],
        "modules": len(targets),
        "merged": False,
        **({"unmatched": unmatched} if unmatched else {}),
    }
    if getattr(network, "hf_quantizer", None) is not None:
        return adapted.get_base_model(), facts
    return adapted.merge_and_unload(), {**facts, "merged": True}


def fitting(
    network: Any, folder: Path, keys: Mapping[str, str]
) -> tuple[Config, dict[str, Target], list[str]]:
    """What an adapter changes of a network, with or without weights; arguments as for `apply`.

    Returns:
        Its config, the changed modules by native name, and names in it that match no module.

    Raises:
        ProbeError: as `apply`.
    """
    config = read_config(folder)
    targets = _targets(folder / WEIGHTS, network, keys)
    return config, targets, _check_complete(config, targets, network, keys)


def read_config(folder: Path) -> Config:
    """An adapter's adapter_config.json, beside its weights.

    Raises:
        ProbeError: files are missing, or it is of another kind.
    """
    path = folder / "adapter_config.json"
    if not path.is_file():
        raise ProbeError(
            f"no adapter in {folder}: adapter_config.json is missing",
            expected="a folder written by PEFT's save_pretrained",
        )
    config = Config(path, read_json(path))
    config.must("peft_type", REQUIRED, "LORA")
    config.must("bias", "none")
    config.integer("r")
    config.number("lora_alpha")
    for name in FLAGS:
        config.flag(name, False)
    config.must("layer_replication", None)
    _check_patterns(config)
    if config.data.get("modules_to_save"):
        raise config.error("modules_to_save", f"found {config.data['modules_to_save']}", "none")
    if not (folder / WEIGHTS).is_file():
        pickled = " (a .bin file can run code and is never opened)" * any(folder.glob("*.bin"))
        raise ProbeError(f"{folder} has no {WEIGHTS}{pickled}", expected="safetensors")
    return config


def _check_patterns(config: Config) -> None:
    """`alpha_pattern` and `layers_to_transform` are what PEFT writes there, or are left out."""
    layers = config.data.get("layers_to_transform")
    numbers = layers if isinstance(layers, list) else [] if layers is None else [layers]
    if any(isinstance(n, bool) or not isinstance(n, int) or n < 0 for n in numbers):
        raise config.error("layers_to_transform", f"found {layers!r}", "numbers of layers")
    alphas = config.data.get("alpha_pattern") or {}
    try:
        sound = all(isinstance(a, int | float) and a > 0 for a in alphas.values())
        for pattern in alphas:
            re.compile(pattern)
    except (AttributeError, re.error):
        sound = False
    if not sound:
        raise config.error("alpha_pattern", f"found {alphas!r}", "a positive number for each name")


def _targets(file: Path, network: Any, keys: Mapping[str, str]) -> dict[str, Target]:
    """The changed modules by native name, every key of the file accounted for."""
    rename = renamer(keys)
    modules = dict(network.named_modules())
    targets: dict[str, Target] = {}
    for key, stored in header(file).items():
        stored.check_floating()
        part = next((p for p in PARTS if key.endswith(f".{p}")), None)
        if part is None or not key.startswith(PREFIX):
            raise ProbeError(f"{file}: unexpected key '{key}'", expected="LoRA weights of layers")
        original = key.removeprefix(PREFIX).removesuffix(f".{part}")
        native = rename(f"{original}.").removesuffix(".")
        module = modules.get(native)
        if not isinstance(module, nn.Linear):
            raise ProbeError(
                f"{file}: key '{key}' belongs to no linear layer of this model",
                hint=MERGED if _experts.count(network.config) else FOREIGN,
            )
        target = targets.setdefault(native, Target(original, {}))
        target.keys[part] = key
        expected = {"lora_A.weight": module.in_features, "lora_B.weight": module.out_features}
        sizes = 1 if part == "lora_magnitude_vector" else 2
        length = stored.shape[-1 if part == "lora_A.weight" else 0] if stored.shape else 0
        if len(stored.shape) != sizes or length != expected.get(part, module.out_features):
            raise ProbeError(
                f"{file}: key '{key}' has shape {list(stored.shape)}",
                expected=f"{expected.get(part, module.out_features)} for this model's {native}",
                hint="the adapter was trained on a base model of another size",
            )
        if part == "lora_A.weight":
            target.rank = stored.shape[0]
    if not targets:
        raise ProbeError(f"{file} is empty", expected="LoRA weights")
    head = next((n for n in targets if modules[n] is network.get_output_embeddings()), None)
    if head and network.config.tie_word_embeddings:
        raise ProbeError(
            f"{file} changes '{targets[head].original}', which is also this model's embedding",
            expected="an adapter of the other linear layers",
        )
    return targets


def _check_complete(
    config: Config, targets: dict[str, Target], network: Any, keys: Mapping[str, str]
) -> list[str]:
    """Both halves of every layer, and every layer of a kind: nothing is left at its start value.

    Returns:
        Names of `target_modules` that no module has: PEFT trains the others without a word.
    """
    file = config.path.parent / WEIGHTS
    parts = [*PARTS[:2], *([PARTS[2]] if config.flag("use_dora", False) else [])]
    for target in targets.values():
        for part in parts:
            if part not in target.keys:
                key = f"{PREFIX}{target.original}.{part}"
                raise ProbeError(f"{file}: key '{key}' is missing")
    chosen = config.data.get("layers_to_transform")
    chosen = [chosen] if isinstance(chosen, int) else chosen
    layers = chosen or range(network.config.num_hidden_layers)
    have = {target.original for target in targets.values()}
    kinds = {re.sub(r"\.\d+\.", ".{}.", name, count=1) for name in have}
    named = _named(config)
    each = not named or not all(LAYER.search(name) for name in named)  # else single ones are meant
    there = set(_original_names(targets, network, keys))
    every = {kind.format(i) for kind in kinds for i in layers if each}
    absent = sorted((every & there) - have)  # not all layers of a mixture of experts are alike
    left = [name for name in named if not _matches(name, have)]
    absent += [name for name in left if _matches(name, there)]
    if absent:
        raise ProbeError(
            f"{file} has no weights for '{absent[0]}'",
            expected="weights for every layer that adapter_config.json names",
        )
    return left


def _named(config: Config) -> list[str]:
    """The names in `target_modules`; none where it is a pattern."""
    named = config.data.get("target_modules")
    if named is not None and not isinstance(named, str):
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise config.error("target_modules", f"found {named!r}", "names, or a pattern")
        return named
    return []


def _matches(name: str, modules: Iterable[str]) -> bool:
    """Whether PEFT takes a name for one of these modules."""
    return any(f".{module}".endswith(f".{name}") for module in modules)


def _original_names(
    targets: dict[str, Target], network: Any, keys: Mapping[str, str]
) -> Iterator[str]:
    """All modules as they were called where the adapter was trained."""
    native = all(name == target.original for name, target in targets.items())
    for name, _ in network.named_modules():
        yield name if native else original(f"{name}.", keys).removesuffix(".")


def _state(file: Path, targets: dict[str, Target]) -> dict[str, Float[Tensor, " ..."]]:
    from safetensors.torch import load_file

    stored = load_file(file)
    return {
        f"{PREFIX}{native}.{part}": stored[key]
        for native, target in targets.items()
        for part, key in target.keys.items()
    }


def _lora(config: Config, targets: dict[str, Target]) -> Any:
    """The adapter's configuration with exact native names in place of its patterns."""
    from peft import LoraConfig

    alphas = config.data.get("alpha_pattern") or {}
    pattern = {
        native: alpha
        for native, target in targets.items()
        for name, alpha in alphas.items()
        if re.match(rf"(.*\.)?({name})$", target.original)
    }
    return LoraConfig(
        r=config.data["r"],
        lora_alpha=config.data["lora_alpha"],
        target_modules=sorted(targets),
        rank_pattern={n: t.rank for n, t in targets.items() if t.rank != config.data["r"]},
        alpha_pattern=pattern,
        use_rslora=config.flag("use_rslora", False),
        use_dora=config.flag("use_dora", False),
        fan_in_fan_out=config.flag("fan_in_fan_out", False),
        inference_mode=True,
        task_type="CAUSAL_LM",
    )
