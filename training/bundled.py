"""The recipe of the bundled models: `tiny-mdlm`, `tiny-arlm`, and `tiny-mdlm-adapted`.

`python -m training.bundled --help` says how to train them again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import transformers
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import LlamaConfig, LlamaForCausalLM

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from training import _bundled_causal as causal
from training import _bundled_check as check
from training import _bundled_data as data
from training import _bundled_files as files
from training import _bundled_masked as masked
from training import _bundled_rows as rows
from training._bundled_trainer import TrainingPlan, train

KINDS = ("causal", "masked", "adapted")
CONTEXT = 1024
LOWEST = 0.03
"""The smallest share of hidden tokens: LLaDA's own 0.001 gives few rows a huge weight."""


@dataclass(frozen=True)
class Course:
    """How long one objective trains, on rows of which length, hiding what.

    Attributes:
        steps: optimizer steps.
        stages: (share of the steps at which a stage ends, shortest row, longest row); a step's row
            length is drawn log-uniformly.
        answers: (share of the steps at which a stage ends, share of the rows that hide answers
            only); the others hide any token, as LLaDA's do. Not used by causal training.
        start: steps of the stream that come before this course.
    """

    steps: int
    stages: tuple[tuple[float, int, int], ...]
    answers: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    start: int = 0

    def length(self, step: int, seed: int) -> int:
        """The row length of a step."""
        low, high = next((a, b) for end, a, b in self.stages if step < end * self.steps)
        u = np.random.default_rng(seed_of("length", seed, self.start + step)).random()
        return round(low * float(high / low) ** float(u))

    def answers_only(self, step: int) -> float:
        """The share of a step's rows that hide answers only."""
        return next(share for end, share in self.answers if step < end * self.steps)

    def shortened(self, scale: float) -> Course:
        """The same course with another number of steps."""
        steps = max(round(scale * self.steps), 1)
        return replace(self, steps=steps, start=round(scale * self.start))


STEPS = 12_000
GROWING = ((0.08, 11, 44), (0.2, 22, 120), (0.45, 40, 360), (1.0, 60, rows.LONGEST))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, besides the seed.

    tiny-arlm and tiny-mdlm are trained from scratch on the same rows in the same order.
    tiny-mdlm-adapted starts from the tiny-arlm of its seed and goes on with the masked objective,
    on the stretch of the same stream that follows: Dream, arXiv 2508.15487, and DiffuLLaMA, arXiv
    2410.17891, start from causal models too. Both masked models end with LLaDA's objective alone.

    Attributes:
        width, layers, heads, inner: of the network.
        spread: standard deviation of the initial weights.
        tokens: tokens of a step, at most.
        causal, masked, adapted: the course of each kind.
        extra: weight of the causal model's second mean, over answers.
        rate: peak learning rate.
    """

    width: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 344
    spread: float = 0.06
    tokens: int = 8192
    causal: Course = Course(STEPS, GROWING)
    masked: Course = Course(STEPS, GROWING, ((0.2, 0.8), (0.8, 0.5), (1.0, 0.0)))
    adapted: Course = Course(
        STEPS // 3,
        ((0.25, 40, 200), (0.5, 60, 400), (1.0, 60, rows.LONGEST)),
        ((0.6, 0.5), (1.0, 0.0)),
        start=STEPS,
    )
    extra: float = 1.0
    rate: float = 3e-3

    def course(self, kind: str) -> Course:
        """The course of a kind."""
        return {"causal": self.causal, "masked": self.masked, "adapted": self.adapted}[kind]

    def shortened(self, steps: int) -> Recipe:
        """The same recipe with other step counts: `steps` of causal training, the rest to scale."""
        scale = steps / self.causal.steps
        return replace(self, **{kind: self.course(kind).shortened(scale) for kind in KINDS})

    def plan(self, kind: str, device: str) -> TrainingPlan:
        """The trainer's plan."""
        steps = self.course(kind).steps
        return TrainingPlan(
            steps=steps, rate=self.rate, warmup=min(100, steps // 10), autocast=device == "cpu"
        )


# ---------------------------------------------------------------------- the network


def build(kind: str, recipe: Recipe, seed: int) -> LlamaForCausalLM:
    """An untrained model; all kinds start from the same weights."""
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


def adapt(model: LlamaForCausalLM, recipe: Recipe) -> LlamaForCausalLM:
    """A model with a causal model's weights, and attention in both directions."""
    out = build("adapted", recipe, 0)
    out.load_state_dict(model.state_dict())
    return out


def states(
    model: LlamaForCausalLM, ids: Int[Tensor, "batch length"]
) -> Float[Tensor, "batch length width"]:
    """What the output layer reads."""
    return model.model(input_ids=ids, use_cache=False).last_hidden_state


# ---------------------------------------------------------------------- the masked objective


@dataclass(frozen=True)
class Hidden:
    """A batch some of whose tokens are hidden.

    Attributes:
        seen: token ids with masks, [batch, length].
        places: where the hidden tokens lie in the flattened batch, [hidden].
        targets: which tokens they are, [hidden].
        weight: the weight of the loss of each, [hidden].
    """

    seen: Int[Tensor, "batch length"]
    places: Int[Tensor, " hidden"]
    targets: Int[Tensor, " hidden"]
    weight: Float[Tensor, " hidden"]


def hidden(
    ids: Int[Tensor, "batch length"],
    answers: Bool[Tensor, "batch length"],
    only: Bool[Tensor, " batch"],
    generator: torch.Generator,
) -> Hidden:
    """Hides tokens: rows of `only` their answers, the others anything.

    Weighed by the bound of LLaDA in either case, per maskable token; its mean over the rows. Rows
    of `only` that have no answers count among the others.
    """
    only = only & answers.any(1)
    share = masked.shares(len(ids), generator, LOWEST)
    maskable = answers | ~only[:, None]
    hide = masked.hide(share, maskable, generator)
    weight = masked.weights(hide, share, maskable)
    seen = masked.cover(ids, hide, data.MASK_ID)
    return Hidden(seen, hide.flatten().nonzero()[:, 0], ids[hide], weight[hide])


def masked_loss(model: LlamaForCausalLM, batch: Hidden) -> Float[Tensor, ""]:
    """The masked model's loss on a batch with hidden tokens."""
    at = states(model, batch.seen).flatten(0, 1)[batch.places]
    return masked.loss(model.lm_head(at), batch.targets, batch.weight)


# ---------------------------------------------------------------------- the stream


class Stream(Dataset):
    """What each step of a course trains on: the tensors that its loss takes."""

    def __init__(self, kind: str, recipe: Recipe, seed: int) -> None:
        self.kind, self.recipe, self.seed = kind, recipe, seed
        self.course = recipe.course(kind)

    def __len__(self) -> int:
        return self.course.steps

    def rows(self, step: int) -> rows.Batch:
        """The rows of a step."""
        length = self.course.length(step, self.seed)
        count = max(self.recipe.tokens // length, 1)
        return rows.batch(count, length, self.seed, self.course.start + step)

    def __getitem__(self, step: int) -> tuple[Tensor, ...]:
        drawn = self.rows(step)
        ids, answers = torch.from_numpy(drawn.ids), torch.from_numpy(drawn.answers)
        if self.kind == "causal":
            return ids, answers
        place = self.course.start + step
        generator = torch.Generator().manual_seed(seed_of("hide", self.seed, place) % 2**63)
        only = torch.rand(len(ids), generator=generator) < self.course.answers_only(step)
        batch = hidden(ids, answers, only, generator)
        return batch.seen, batch.places, batch.targets, batch.weight


def run(
    kind: str,
    model: LlamaForCausalLM,
    recipe: Recipe,
    seed: int,
    log: Path | None = None,
    device: str = "cpu",
) -> LlamaForCausalLM:
    """Trains a model in place.

    Args:
        kind: one of `KINDS`.
        model: from `build` or `adapt`.
        recipe: see `Recipe`.
        seed: of the data and the masks.
        log: a file to add lines to: step, mean loss, seconds.
        device: where to train; on "cuda" in float32 with rows drawn by a process of their own, on
            "cpu" in bfloat16.
    """
    parallel = device != "cpu"
    stream: Iterator[list[Tensor]] = iter(
        DataLoader(
            Stream(kind, recipe, seed),
            batch_size=None,
            num_workers=int(parallel),
            prefetch_factor=8 if parallel else None,
            pin_memory=parallel,
        )
    )

    def loss(step: int) -> Float[Tensor, ""]:
        drawn = [part.to(device, non_blocking=True) for part in next(stream)]
        if kind == "causal":
            ids, answers = drawn
            return causal.loss(model.lm_head(states(model, ids)), ids, answers, recipe.extra)
        return masked_loss(model, Hidden(*drawn))

    def report(step: int, value: float, seconds: float) -> None:
        if log:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{step}\t{value:.4f}\t{seconds:.0f}\n")

    model.to(device).train()
    train(model, loss, recipe.plan(kind, device), report)
    return model.to("cpu").eval()


# ---------------------------------------------------------------------- the command


def _seeds(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parser() -> argparse.ArgumentParser:
    """The options of `python -m training.bundled`."""
    out = argparse.ArgumentParser(
        prog="python -m training.bundled",
        description="Trains the bundled models tiny-arlm (causal), tiny-mdlm (masked) and "
        "tiny-mdlm-adapted (masked, from tiny-arlm), one after the other. The same seed gives the "
        "same weights on the same machine.",
        epilog="Each model gets DIR/seedN/NAME: the checkpoint, log.tsv (step, mean loss, seconds) "
        "and report.json (accuracy by position of the relevant block, facts, prose).",
    )
    out.add_argument(
        "--seeds", type=_seeds, default="0,1,2", help="training seeds (default: %(default)s)"
    )
    out.add_argument("--model", choices=(*KINDS, "all"), default="all", help="which to train")
    out.add_argument(
        "--steps", type=int, help="causal steps; the others to scale (default: the recipe's)"
    )
    out.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where (default: %(default)s)"
    )
    out.add_argument(
        "--output", type=Path, default=Path("results/bundled"), metavar="DIR", help="%(default)s"
    )
    out.add_argument(
        "--export",
        metavar="SEED",
        help="train nothing: copy a seed's models of DIR into the package; `median` for the seed "
        "with the middle accuracy next to the question",
    )
    return out


def train_one(kind: str, seed: int, recipe: Recipe, output: Path, device: str = "cpu") -> None:
    """Trains, saves and examines one model; the adapted one starts from the saved causal one."""
    folder = output / f"seed{seed}" / files.NAMES[kind]
    model = build(kind, recipe, seed)
    if kind == "adapted":
        start = build("causal", recipe, seed)
        model = adapt(files.read_causal(start, folder.parent / files.NAMES["causal"]), recipe)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.tsv"
    log.unlink(missing_ok=True)
    run(kind, model, recipe, seed, log, device)
    files.save(model, folder)
    text = json.dumps(check.report(model.to(device)), indent=2)
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
    torch.set_float32_matmul_precision("high")
    transformers.logging.disable_progress_bar()
    recipe = Recipe().shortened(options.steps) if options.steps else Recipe()
    for seed in options.seeds:
        for kind in KINDS if options.model == "all" else (options.model,):
            steps = recipe.course(kind).steps
            print(f"{files.NAMES[kind]}, seed {seed}: {steps} steps", flush=True)
            train_one(kind, seed, recipe, options.output, options.device)


if __name__ == "__main__":
    try:
        main()
    except ProbeError as error:
        raise SystemExit(f"error: {error}") from None
