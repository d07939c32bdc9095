"""The model that lm-eval asks: likelihoods and texts by our engine, in the order asked."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.harness.likelihood_requests import Likelihoods
from mdlm_probe.harness.model_arguments import build
from mdlm_probe.harness.text_requests import Texts

LM_EVAL_DEVICE = "cuda:0"


class ProbeLM(Likelihoods, Texts):
    """A masked or causal model of ours as lm-eval's: `simple_evaluate(model="mdlm", ...)`.

    An answer depends on its request alone, not on the order, `--limit`, or what else is asked:
    random numbers come from its text. Model arguments of lm-eval: see `model_arguments`.

    Args:
        session: engines over the model.
        border: the model's.
        settings: of likelihoods under masked models. `decide` looks at the choices of a document,
            with and without their lengths in characters, and leaves other rankings alone.
        seed: of draws and of tokens drawn.
        answers: those of earlier runs, and where new ones go.
        presets: generation settings by task.
        user: names of generation arguments that are the user's, which go before presets.
        progress: a front end.
        overlength: what is done with contexts longer than the model reads, see `overlong`.

    Attributes:
        scored: of every likelihood, by its request; see `record`.
    """

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> ProbeLM:
        """The model of lm-eval's model arguments; lm-eval's batch size means nothing here."""
        return cls(**build({**arg_dict, **_said(additional_config)}))

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: dict[str, Any] | None = None
    ) -> ProbeLM:
        """As `create_from_arg_obj`, from `model=NAME,draws=64` and the like."""
        from lm_eval.utils import simple_parse_args_string

        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    # ------------------------------------------------------------------ chats

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A chat as text; without a generation prompt its last message is left open.

        Templates that know no system role are given the chat without it, as in lm-eval; it is said.
        """
        *earlier, last = chat_history
        try:
            if add_generation_prompt:
                return self.border.render(chat_history, True)
            return self.border.render(earlier, True) + last["content"]
        except ProbeError:
            kept = [message for message in chat_history if message["role"] != "system"]
            if len(kept) == len(chat_history):
                raise
            text = self.apply_chat_template(kept, add_generation_prompt)
            self.once(f"the chat template of {self.entry.name} takes no system message:"
                       " it was left away")  # fmt: skip
            return text

    @property
    def tokenizer_name(self) -> str:
        """A name for tokenizer and chat template together."""
        mark = hashlib.blake2b(self.border.template.encode(), digest_size=4).hexdigest()
        return f"{self.entry.name}-{mark}".replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The checkpoint's chat template; it has one at most, whatever name is asked for."""
        return self.border.template if chat_template else None

    # ------------------------------------------------------------------ facts

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval records of the model, and what changes its numbers."""
        facts = self.facts
        return {
            "model_num_parameters": facts.get("parameters", -1),
            "model_dtype": facts.get("dtype", ""),
            "model_revision": facts.get("revision", ""),
            "model_sha": facts.get("commit", ""),
            "mdlm": {
                "identity": self._identity,
                "likelihood": asdict(self.settings),
                "seed": self.seed,
                "presets": {task: preset._asdict() for task, preset in self.presets.items()},
            },
        }


def _said(config: dict[str, Any] | None) -> dict[str, Any]:
    """What lm-eval adds to model arguments, where it says something.

    Its device is the first card where nobody names one, and its own models work elsewhere without.
    """
    found = {name: value for name, value in (config or {}).items() if value is not None}
    return found | ({"device": "auto"} if found.get("device") == LM_EVAL_DEVICE else {})
