"""The recipe of the bundled pair: `tiny-arlm`, and `tiny-mdlm` that starts from it.

`python -m training.bundled --help` says how to train them again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.tuning import causal, masked
from mdlm_probe.tuning.trainer import TrainingPlan, train
from training import _bundled_check as check
from training import _bundled_data as data
from training import _bundled_files as files

KINDS = ("causal", "masked")
CONTEXT = 1024
LOWEST = 0.03
"""The smallest share of hidden tokens: LLaDA's own 0.001 gives few rows a huge weight."""


@dataclass(frozen=True)
class Course:
    """How long one objective trains, and on rows of which length.

    Attributes:
        steps: optimizer steps.
        stages: (share of the steps at which a stage ends, shortest row, longest row); a step's row
            length is drawn log-uniformly.
    """

    steps: int
    stages: tuple[tuple[float, int, int], ...]

    def length(self, step: int, seed: int, place: int) -> int:
        """The row length of a step whose place in the stream is `place`."""
        low, high = next((a, b) for end, a, b in self.stages if step < end * self.steps)
        u = np.random.default_rng(seed_of("length", seed, place)).random()
        return round(low * float(high / low) ** float(u))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, besides the seed.

    tiny-arlm is trained from scratch. tiny-mdlm starts from the tiny-arlm of its seed and goes on
    with the masked objective, on the stretch of the same stream that follows. Source: Dream, arXiv
    2508.15487, and DiffuLLaMA, arXiv 2410.17891, start from causal models too.

    Attributes:
        width, layers, heads, inner: of the network.
        spread: standard deviation of the initial weights.
        tokens: tokens of a step, at most.
        causal, masked: how long each objective trains.
        extra: weight of the causal model's second mean, over answers.
        answers: share of the masked model's rows that hide answers only; the others hide anything.
        rate: peak learning rate.
    """

    width: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 344
    spread: float = 0.06
    tokens: int = 2048
    causal: Course = Course(3600, ((0.3, 40, 160), (0.6, 60, 360), (1.0, 60, data.LONGEST)))
    masked: Course = Course(2400, ((0.25, 40, 200), (0.5, 60, 400), (1.0, 60, data.LONGEST)))
    extra: float = 1.0
    answers: float = 0.5
    rate: float = 1.5e-3

    def course(self, kind: str) -> Course:
        """The course of "masked" or "causal"."""
        return self.masked if kind == "masked" else self.causal

    def shortened(self, steps: int) -> Recipe:
        """The same recipe with other step counts: `steps` of causal training, the rest to scale."""
        share = steps / self.causal.steps
        masked = replace(self.masked, steps=max(round(share * self.masked.steps), 1))
        return replace(self, causal=replace(self.causal, steps=steps), masked=masked)

    def plan(self, kind: str) -> TrainingPlan:
        """The trainer's plan."""
        steps = self.course(kind).steps
        return TrainingPlan(
            steps=steps, rate=self.rate, warmup=min(100, steps // 10), autocast=True
        )

    def batch(self, kind: str, step: int, seed: int) -> data.Batch:
        """The batch of a step."""
        place = step + (self.causal.steps if kind == "masked" else 0)
        length = self.course(kind).length(step, seed, place)
        return data.batch(max(self.tokens // length, 1), length, seed, place)


# ---------------------------------------------------------------------- the network


def build(kind: str, recipe: Recipe, seed: int) -> LlamaForCausalLM:
    """An untrained model; both kinds start from the same weights."""
    config = LlamaConfig(
        vocab_size=len(data.vocabulary()),
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        intermediate_size=recipe.inner,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        initializer_range=recipe.spread,
        bos_token_id=None,
        eos_token_id=data.EOS_ID,
    )
    config.is_causal = kind == "causal"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("weights", seed) % 2**63)
        model = LlamaForCausalLM(config)
    model.config.pad_token_id = data.EOS_ID  # set earlier, it would not be trained as an input
    return model


def states(
    model: LlamaForCausalLM, ids: Int[Tensor, "batch length"]
) -> Float[Tensor, "batch length width"]:
    """What the output layer reads."""
    return model.model(input_ids=ids, use_cache=False).last_hidden_state


def masked_loss(
    model: LlamaForCausalLM,
    ids: Int[Tensor, "batch length"],
    answers: Bool[Tensor, "batch length"],
    only: Bool[Tensor, " batch"],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """The masked model's loss: rows of `only` hide answers, the others anything.

    The bound of LLaDA in either case, per maskable token; its mean over the rows. Rows of `only`
    that have no answers count among the others.
    """
    only = only & answers.any(1)
    share = masked.shares(len(ids), generator, LOWEST)
    maskable = answers | ~only[:, None]
    hidden = masked.hide(share, maskable, generator)
    weight = masked.weights(hidden, share, maskable)
    seen = masked.cover(ids, hidden, data.MASK_ID)
    logits = model.lm_head(states(model, seen)[hidden])
    return masked.loss(logits, ids[hidden], weight[hidden])


def run(
    kind: str, model: LlamaForCausalLM, recipe: Recipe, seed: int, log: Path | None = None
) -> LlamaForCausalLM:
    """Trains a model in place.

    Args:
        kind: "masked" or "causal".
        model: from `build` or `adapt`.
        recipe: see `Recipe`.
        seed: of the data and the masks.
        log: a file to add lines to: step, mean loss, seconds.
    """

    def loss(step: int) -> Float[Tensor, ""]:
        drawn = recipe.batch(kind, step, seed)
        ids, answers = torch.from_numpy(drawn.ids), torch.from_numpy(drawn.answers)
        if kind == "causal":
            return causal.loss(model.lm_head(states(model, ids)), ids, answers, recipe.extra)
        generator = torch.Generator().manual_seed(seed_of("hide", seed, step) % 2**63)
        only = torch.rand(len(ids), generator=generator) < recipe.answers
        return masked_loss(model, ids, answers, only, generator)

    def report(step: int, value: float, seconds: float) -> None:
        if log:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{step}\t{value:.4f}\t{seconds:.0f}\n")

    model.train()
    train(model, loss, recipe.plan(kind), report)
    return model.eval()


def adapt(model: LlamaForCausalLM, recipe: Recipe) -> LlamaForCausalLM:
    """A model with a causal model's weights, and attention in both directions."""
    out = build("masked", recipe, 0)
    out.load_state_dict(model.state_dict())
    return out


# ---------------------------------------------------------------------- the command


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parser() -> argparse.ArgumentParser:
    """The options of `python -m training.bundled`."""
    out = argparse.ArgumentParser(
        prog="python -m training.bundled",
        description="Trains the bundled models tiny-mdlm (masked) and tiny-arlm (causal), one "
        "thread, one after the other. The same seed gives the same weights on the same machine.",
        epilog="Each model gets DIR/seedN/NAME: the checkpoint, log.tsv (step, mean loss, seconds) "
        "and report.json (accuracy by position of the relevant block, prose).",
    )
    out.add_argument(
        "--seeds", type=_seeds, default="0,1,2", help="training seeds (default: %(default)s)"
    )
    out.add_argument("--model", choices=(*KINDS, "both"), default="both", help="which to train")
    out.add_argument(
        "--steps", type=int, help="causal steps; masked ones to scale (default: the recipe's)"
    )
    out.add_argument(
        "--output", type=Path, default=Path("results/bundled"), metavar="DIR", help="%(default)s"
    )
    out.add_argument(
        "--export",
        metavar="SEED",
        help="train nothing: copy a seed's pair of DIR into the package; `median` for the seed "
        "with the middle accuracy next to the question",
    )
    return out


def train_one(kind: str, seed: int, recipe: Recipe, output: Path) -> None:
    """Trains, saves and examines one model; the masked one starts from the saved causal one."""
    folder = output / f"seed{seed}" / files.NAMES[kind]
    model = build("causal", recipe, seed)
    if kind == "masked":
        model = adapt(files.read_causal(model, folder.parent / files.NAMES["causal"]), recipe)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.tsv"
    log.unlink(missing_ok=True)
    run(kind, model, recipe, seed, log)
    files.save(model, folder)
    text = json.dumps(check.report(model), indent=2)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Trains, or exports."""
    options = parser().parse_args(arguments)
    if options.export:
        seed = files.chosen_seed(options.output, options.export)
        files.export(options.output, seed, files.shipped())
        print(f"seed {seed} -> {files.shipped()}")
        return
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    recipe = Recipe().shortened(options.steps) if options.steps else Recipe()
    for seed in options.seeds:
        for kind in KINDS if options.model == "both" else (options.model,):
            steps = recipe.course(kind).steps
            print(f"{files.NAMES[kind]}, seed {seed}: {steps} steps", flush=True)
            train_one(kind, seed, recipe, options.output)


if __name__ == "__main__":
    try:
        main()
    except ProbeError as error:
        raise SystemExit(f"error: {error}") from None
