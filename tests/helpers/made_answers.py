"""Runs of `generate`, made by hand: who answered what to which prompt."""

import json

from mdlm_probe.core.run_folder import RunFolder


def generated(folder, model, answers, asked="What is {}?", **options):
    """A finished run: answers by prompt's id; a prompt's text is `asked`, or beside the answer."""
    name = f"generate__{model}"
    told = {"probe": "generate", "model": model, "options": {"text": ["x"], **options}}
    with RunFolder.locked(folder, "made") as run:
        run.begin(name, {"config": told}, run.path(name).with_suffix(".jsonl"))
        lines = []
        for prompt, answer in answers.items():
            text, answer = answer if isinstance(answer, tuple) else (asked.format(prompt), answer)
            row = {"prompt": prompt, "task": "t", "model": model, "prompt_text": text}
            lines.append(json.dumps(row | {"answer": answer, "answer_tokens": len(answer)}) + "\n")
        run.path(name).with_suffix(".jsonl").write_text("".join(lines))
        run.update(name, status="finished")
    return folder
