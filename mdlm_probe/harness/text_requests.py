"""lm-eval's requests for texts: contexts continued until a stop text."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import schedule
from mdlm_probe.harness import request_tokens, text_generation
from mdlm_probe.harness.answer_log import name_of
from mdlm_probe.harness.base_model import EngineLM, title
from mdlm_probe.harness.text_generation import WritingOptions, WritingRequest

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


class Texts(EngineLM):
    """Answers requests for texts."""

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Texts written after contexts, each up to the first of its stop texts."""
        options = [self._options(request) for request in requests]
        self._note_ignored(requests)
        times: Tally[int] = Tally()
        seeds, names = [], []
        contexts, cuts = self._contexts(requests, options)
        self.note_cuts(Tally({"contexts": sum(map(bool, cuts))}))
        for request, own, cut in zip(requests, options, cuts, strict=True):
            # repeats of a request are other draws; without any, they are one
            number = times[id(request)] if own.schedule.temperature else 0
            times[id(request)] += 1
            parts = ("generate_until", self.seed, request.args[0], number)
            seeds.append(seed_of(*parts))
            names.append(name_of(*parts, self._identity, own.row(), *self.rule_of(cut)))
        skipped = {name for r, name in zip(requests, names, strict=True) if self.overlong.skips(r)}
        wanted = {name: at for at, name in enumerate(names) if name not in skipped}
        new = {name: at for name, at in wanted.items() if name not in self.answers}
        done = sum(name not in new for name in names)
        self.progress.start(f"{self.entry.name} texts", len(requests), done)

        def asked(at: int) -> WritingRequest:
            return WritingRequest(contexts[at], options[at], seeds[at], title(requests[at]))

        alike = self._side_by_side(list(new.values()), options, contexts)
        for part, found in self.answered(text_generation.write, alike, asked):
            self.answers.add({names[at]: asdict(one) for at, one in zip(part, found, strict=True)})
            ended = {names[at] for at in part}
            self.progress.advance(sum(name in ended for name in names), 0)
        texts = ["" if name in skipped else self.answers[name]["text"] for name in names]
        for request, name, text in zip(requests, names, texts, strict=True):
            if name not in skipped:
                self.cache_hook.add_partial("generate_until", request.args, text)
        return texts

    def _options(self, request: Instance) -> WritingOptions:
        preset = self.presets.get(request.task_name or "")
        settings = preset.settings if preset else {}
        try:
            found = text_generation.writing_options(
                request.args[1], settings, self.entry.kind, self.user, self.entry.block
            )
        except ProbeError as error:
            raise ProbeError(
                f"generation arguments of {title(request)}: {error.found}",
                expected=error.expected,
                hint=error.hint or "--gen_kwargs goes before what the task says",
                option=error.options,
            ) from None
        if reason := schedule.unfit(found.schedule.block, found.schedule.cache, self.entry):
            raise ProbeError(f"generation arguments of {title(request)}: {reason}")
        return found

    def _contexts(
        self, requests: Sequence[Instance], options: Sequence[WritingOptions]
    ) -> tuple[list[tuple[int, ...]], list[int]]:
        """Contexts as tokens, cut to leave room for the canvas; how many each lost."""
        found, cuts, context = [], [], self.entry.context
        for request, own in zip(requests, options, strict=True):
            border = self.border
            ids = request_tokens.encode(border, request.args[0]) or (request_tokens.prefix(border),)
            room = context - own.length
            if room < 1:
                raise ProbeError(
                    f"{title(request)} asks for {own.length} tokens",
                    expected=f"fewer than {context}, the context of '{self.entry.name}'",
                    hint="--gen_kwargs max_gen_toks=N",
                )
            clipped = self.clip(request, ids, (), room)
            found.append(clipped.ids)
            cuts.append(clipped.cut)
        return found, cuts

    def _side_by_side(
        self,
        places: Sequence[int],
        options: Sequence[WritingOptions],
        contexts: Sequence[tuple[int, ...]],
    ) -> Iterator[list[int]]:
        """Requests with the same options and about one length, as many as fill a batch."""
        alike: dict[WritingOptions, list[int]] = {}
        for at in places:
            alike.setdefault(options[at], []).append(at)
        for own, group in alike.items():
            group.sort(key=lambda at: len(contexts[at]))
            longest = len(contexts[group[-1]]) + own.length
            size = max(1, self.batch_tokens // longest)
            yield from (group[first : first + size] for first in range(0, len(group), size))

    def _note_ignored(self, requests: Sequence[Instance]) -> None:
        tally = Tally(
            name for r in requests for name in text_generation.ignored(r.args[1], self.user)
        )
        for name, number in tally.items():
            self.once(f"{name} of {number} requests changes nothing here")
