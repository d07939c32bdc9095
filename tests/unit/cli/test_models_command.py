"""The command `models`: families and attention in 80 columns, or all that is known."""

import json
import re

from commands import call

from mdlm_probe import models


def test_groups_by_family_and_attention_in_80_columns():
    output = call("models").output
    assert max(map(len, output.splitlines())) <= 80
    blocks = output.split("\n\n")
    shown = {}
    for block in blocks[:-1]:
        title, head, *rows = block.strip().splitlines()
        shown[title] = [row.split()[0] for row in rows]
        assert head.startswith("name ")
        assert ("block" in head.split()) == title.endswith("block-causal")
        assert ("scored" in head.split()) == (not title.endswith(": causal"))
    assert sorted(name for names in shown.values() for name in names) == sorted(models.names())
    assert "a2d-0.6b-bd3lm" in shown["a2d: block-causal"]
    assert "a2d-0.6b-mdlm" in shown["a2d: bidirectional"]
    assert "qwen3-0.6b" in shown["causal: causal"]
    assert {entry.family for entry in models.entries()} == {t.split(":")[0] for t in shown}
    assert re.search(
        r"^sdar-1\.7b +4 +2\.0B +chat +20480 +llama3-8b-instruct", output, re.MULTILINE
    )


def test_wide_has_one_table_with_sources_and_notes():
    head, *rows = call("models", "--wide").output.splitlines()
    assert [line.split()[0] for line in rows[: len(models.names())]] == models.names()
    assert head.split()[-2:] == ["source", "note"]
    assert "dllm-hub/Qwen3-0.6B-diffusion-bd3lm-v0.1" in "".join(rows)


def test_json_is_complete():
    (table,) = json.loads(call("models", "--json").stdout)["tables"]
    rows = {row["name"]: row for row in table["rows"]}
    assert list(rows) == models.names()
    one, entry = rows["a2d-0.6b-bd3lm"], models.resolve("a2d-0.6b-bd3lm")
    assert (one["block"], one["origin"], one["attention"]) == (32, "prompt", "block-causal")
    assert one["geometry"] == entry.geometry
    assert (one["mask_id"], tuple(one["eos_ids"])) == (entry.mask_id, entry.eos_ids)
    assert one["chat_options"] == {"enable_thinking": False}
    assert not [name for name, row in rows.items() if row["source"].startswith("/")]
