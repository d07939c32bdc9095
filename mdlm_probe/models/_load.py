"""From files to a model: fetch, check, load, adapt, self-test. Every fault is named."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _checks, _experts, _hub, _quantize, _registry, _rope, _slack, _weights
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.models._config import Config
from mdlm_probe.models._conversion import Conversion, adapted
from mdlm_probe.models._families import declared
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._quiet import quiet

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_native(entry: Checkpoint, options: LoadOptions, family: ModuleType) -> NativeModel:
    """Fetches, checks, loads, adapts and self-tests a checkpoint of a transformers class.

    Raises:
        ProbeError: whatever is wrong with files, keys, options or the machine, by name.
    """
    device = pick_device(options.device)
    dtype = pick_dtype(options.dtype, device)
    _quantize.check(options.quantize)
    _check_device_map(options)
    place, border = _registry.open_checkpoint(entry, options, weights=True)
    entry = border.entry
    config = _native_config(Config.read(place.folder), family)
    theta = _rope.stretch(config, options.rope_scale, place.folder)
    _check_counts(config, place.folder)
    empty = _skeleton(config, family, place.folder)
    _check_weights(place.folder, Conversion(empty, family.KEYS), config)
    with quiet():
        network = _fill(type(empty), config, place.folder, family, dtype, device, options)
    facts = _facts(entry, options, place, family, dtype, device)
    if options.rope_scale != 1:
        facts |= {"rope_scale": options.rope_scale, "rope_theta": theta}
    if options.device_map and (devices := _spread(network, place.folder)):
        facts["devices"] = devices
    facts["parameters"] = sum(weight.numel() for weight in empty.parameters())
    slack = _slack.told(Path(options.adapter) if options.adapter else place.folder)
    _slack.widen(network, slack)
    if options.adapter:
        from mdlm_probe.models import _adapter

        with quiet():
            network, facts["adapter"] = _adapter.apply(network, Path(options.adapter), family.KEYS)
        both = {"base": facts["weight_hash"], "adapter": facts["adapter"]["hash"]}
        facts["weight_hash"] = _hub.combined(both)
    facts["start_ids"] = list(border.start)
    facts["attention"] = network.config._attn_implementation
    if experts := _experts.implementation(config, device, options.quantize):
        facts["experts"] = experts
    exact = {**entry.geometry, "parameters": facts["parameters"]}
    border.entry = replace(entry, geometry=exact, slack_id=slack)
    model = NativeModel(network, border, family.SHIFT, facts)
    _checks.self_test(model)
    return model


def check_adapter(entry: Checkpoint, options: LoadOptions, family: ModuleType) -> None:
    """Holds an adapter against a network without weights; by itself where there is no config.

    Raises:
        ProbeError: as `_adapter.apply`.
    """
    from mdlm_probe.models import _adapter

    folder = Path(options.adapter)
    _adapter.read_config(folder)
    try:
        place, _ = _registry.open_checkpoint(entry, options, weights=False)
    except ProbeError:  # a plan goes on without
        return
    config = _native_config(Config.read(place.folder), family)
    _adapter.fitting(_skeleton(config, family, place.folder), folder, family.KEYS)


def pick_device(name: str) -> torch.device:
    """A torch device that this machine has.

    Raises:
        ProbeError: for an unknown name, or a device that is not there.
    """
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device("mps" if kind == "cpu" and torch.backends.mps.is_available() else kind)
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ProbeError(f"unknown device '{name}'", expected="auto, cpu, cuda, cuda:1 or mps")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ProbeError(
                f"no device '{name}' here",
                expected=f"{count} CUDA device(s)",
                hint="--device auto takes what there is",
            )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ProbeError("no device 'mps' here", hint="--device auto takes what there is")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of a name; "auto" is bfloat16 on CUDA, float32 elsewhere.

    Raises:
        ProbeError: for an unknown name.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise ProbeError(f"unknown dtype '{name}'", expected=f"auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def _native_config(config: Config, family: ModuleType) -> Any:
    """The transformers configuration, bidirectional for masked families."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if "quantization_config" in config.data:
        raise config.error(
            "quantization_config",
            "the weights are quantised already",
            "the original weights",
            hint="load the original checkpoint, with --quantize if memory is short",
        )
    fields = family.translate(config)
    model_type = fields.pop("model_type")
    try:
        with quiet():
            native = CONFIG_MAPPING[model_type].from_dict(fields)
    except Exception as error:  # dataclass checks differ from class to class
        raise ProbeError(f"{config.path}: transformers refuses it: {error}") from None
    if family.KIND == "masked":
        native.is_causal = False
    native.use_cache = False
    return native


def _skeleton(config: Any, family: ModuleType, folder: Path) -> Any:
    """The network without memory behind its weights, to compare names and shapes with."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    auto = family.NATIVE == "AutoModelForCausalLM"
    name, known = family.NATIVE, MODEL_FOR_CAUSAL_LM_MAPPING
    made: Any = known[type(config)] if auto else getattr(transformers, name)
    if splits := declared(family, "CONVERSION"):
        made = adapted(made, splits, declared(family, "FLOAT32"))
    try:
        with quiet(), torch.device("meta"):
            return made(config)
    except Exception as error:  # sizes that don't divide, and the like
        raise ProbeError(f"{folder / 'config.json'} describes no network: {error}") from None


def _check_counts(config: Any, folder: Path) -> None:
    """Refuses more layers or experts than there are weights, before so many are built."""
    weights = len(_weights.headers(folder))
    counts = {"layers": config.num_hidden_layers, "experts": _experts.count(config)}
    for name, count in counts.items():
        if count > weights:
            raise ProbeError(
                f"{folder / 'config.json'} describes {count} {name}",
                expected=f"those of the files, which hold {weights} weights",
                hint="config.json belongs to another checkpoint",
            )


def _check_weights(folder: Path, conversion: Conversion, config: Any) -> None:
    head, table = "lm_head.weight", "model.embed_tokens.weight"
    tied = head if config.tie_word_embeddings else ""
    stored = _weights.check_keys(folder, conversion, tied)
    twice = tied and head in stored and table in stored
    if twice and not _weights.same_bytes(stored[head], stored[table]):
        raise ProbeError(
            f"{stored[head].file}: the output layer differs from the embedding",
            expected="equal weights, since config.json ties them",
            hint="config.json should say weight_tying (or tie_word_embeddings) false",
        )


def _fill(
    made: Any,
    config: Any,
    folder: Path,
    family: ModuleType,
    dtype: torch.dtype,
    device: torch.device,
    options: LoadOptions,
) -> Any:
    """The network with its weights; none may be left at random."""
    extra: dict[str, Any] = {}
    if options.quantize:
        from mdlm_probe.models import _packing

        extra["quantization_config"] = _packing.config(options.quantize)
    if experts := _experts.implementation(config, device, options.quantize):
        extra["experts_implementation"] = experts
    if options.device_map:
        extra["device_map"] = options.device_map
    elif device.type != "cpu":
        extra["device_map"] = {"": device}
    try:
        network, info = made.from_pretrained(
            folder,
            config=config,
            key_mapping=family.KEYS or None,
            # not `.to(dtype)` afterwards: that would cast the rotary frequencies too
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            attn_implementation="sdpa",
            output_loading_info=True,
            **extra,
        )
    except torch.cuda.OutOfMemoryError:
        raise ProbeError(
            f"{folder} does not fit into the memory of {device}",
            hint="--quantize 4bit, --dtype bfloat16, or a larger device",
        ) from None
    except Exception as error:  # whatever it is, the user needs the file's name
        raise ProbeError(f"cannot load {folder}: {type(error).__name__}: {error}") from error
    problems = {k: sorted(map(str, v)) for k, v in info.items() if v}
    if problems:
        raise ProbeError(
            f"{folder} did not load completely: {problems}",
            hint="transformers changed; this tool is tested with 5.23",
        )
    if options.quantize:
        _packing.unpack_in_large_passes(network)
    return network


def _check_device_map(options: LoadOptions) -> None:
    if options.device_map and options.device not in ("auto", "cuda"):
        raise ProbeError(
            f"--device-map {options.device_map} spreads a model over all cards, but --device is"
            f" '{options.device}'",
            expected="--device auto or cuda",
            option=("device_map", "device"),
        )


def _spread(network: Any, folder: Path) -> dict[str, int]:
    """How many modules each of several devices got; outputs come back to the first one.

    Raises:
        ProbeError: some found no room on a card.
    """
    from accelerate.hooks import AlignDevicesHook, add_hook_to_module

    placed = Counter(str(device) for device in getattr(network, "hf_device_map", {}).values())
    if len(placed) > 1:
        if {"cpu", "disk"} & placed.keys():
            raise ProbeError(
                f"{folder} does not fit into the memory of {len(placed)} devices",
                hint="more cards for each worker (fewer --workers), --dtype bfloat16 or --quantize",
                option="device_map",
            )
        hook = AlignDevicesHook(io_same_device=True)
        add_hook_to_module(network.base_model, hook, append=True)
        return dict(placed)
    return {}


def _facts(
    entry: Checkpoint,
    options: LoadOptions,
    place: _hub.Place,
    family: ModuleType,
    dtype: torch.dtype,
    device: torch.device,
) -> dict[str, Any]:
    """What run.json records of a loaded model."""
    import transformers

    weights = _hub.fingerprints(_weights.weight_files(place.folder))
    texts = [place.folder / name for name in _hub.TEXT_FILES if (place.folder / name).is_file()]
    cuda = device.type == "cuda"
    return {
        "name": entry.name,
        "family": entry.family,
        "kind": entry.kind,
        "chat": entry.chat,
        "style": "chat" if entry.chat else "base",
        "style_reason": entry.style_reason,
        "source": entry.source,
        "revision": "" if _hub.is_local(entry.source) else options.revision or entry.revision,
        "commit": place.commit,
        "weight_hash": _hub.combined(weights),
        "files": {**weights, **_hub.fingerprints(texts)},
        "dtype": str(dtype).removeprefix("torch."),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if cuda else device.type,
        "quantize": options.quantize,
        "adapter": None,
        "mask_id": entry.mask_id,
        "eos_ids": list(entry.eos_ids),
        "context": entry.context,
        "vocab": entry.geometry.get("vocab"),
        "shift": family.SHIFT,
        **entry.block_facts,
        "torch": torch.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "transformers": transformers.__version__,
    }
