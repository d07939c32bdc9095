"""Rows of every form become the same messages; what is wrong is named with its line."""

import json
import sys
import types

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.tuning import conversations

ROWS = [
    {"prompt": "why?", "answer": "so."},
    {"messages": [{"role": "user", "content": "why?"}, {"role": "assistant", "content": "so."}]},
    {"conversations": [{"from": "human", "value": "why?"}, {"from": "gpt", "value": "so."}]},
    {"instruction": "why?", "input": "", "output": "so."},
    {"id": 3, "system_prompt": "", "question": "why?", "response": "so."},
]


def written(folder, rows):
    path = folder / "data.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return str(path)


def test_every_form_says_the_same(tmp_path):
    found = list(conversations.read(written(tmp_path, ROWS)))
    assert [c.turns for c in found] == [(("user", "why?"), ("assistant", "so."))] * 5
    assert [c.plain for c in found] == [True, False, False, False, False]
    assert found[2].where.endswith("data.jsonl, line 3")


def test_systems_inputs_and_several_turns(tmp_path):
    rows = [
        {"system_prompt": "be brief", "question": "why?", "response": "so."},
        {"instruction": "add", "input": "1 2", "output": "3"},
        {
            "conversations": [
                {"from": "system", "value": "s"},
                {"from": "human", "value": "a"},
                {"from": "gpt", "value": "b"},
                {"from": "human", "value": "c"},
                {"from": "gpt", "value": "d"},
                {"from": "human", "value": "nobody answers"},
            ],
            "instruction": "a",
            "response": "b",
        },
    ]
    found = [c.turns for c in conversations.read(written(tmp_path, rows))]
    assert found[0][0] == ("system", "be brief")
    assert found[1] == (("user", "add\n\n1 2"), ("assistant", "3"))
    assert [text for _, text in found[2]] == ["s", "a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "line 2 is no JSON"),
        ("[1]", "line 2 is no object"),
        ({"text": "a"}, "line 2 has the fields text"),
        ({"prompt": "a", "answer": ""}, "line 2 has an empty answer"),
        ({"prompt": "", "answer": "b"}, "line 2 has an empty prompt"),
        ({"prompt": 3, "answer": "b"}, "line 2: 'prompt' is no text"),
        ({"messages": [{"role": "user", "content": "a"}]}, "line 2: 'messages' has no answer"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "line 2: 'messages' holds"),
        ({"messages": "a"}, "line 2: 'messages' holds"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, row, said):
    with pytest.raises(ProbeError, match=said):
        list(conversations.read(written(tmp_path, [ROWS[0], row])))


@pytest.mark.parametrize("name", ["no/such.jsonl", "nothing", "a/b/c"])
def test_a_file_that_is_not_there(name):
    with pytest.raises(ProbeError, match=f"--data '{name}' is no file"):
        list(conversations.read(name))


def test_a_data_set_of_the_hub(monkeypatch):
    asked = []

    def load_dataset(name, config, split):
        asked.append((name, config, split))
        if config == "none":
            raise FileNotFoundError("not there")
        return ROWS[:2]

    fake = types.SimpleNamespace(load_dataset=load_dataset)
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert len(list(conversations.read("org/name", "test"))) == 2
    assert len(list(conversations.read("org/name:part"))) == 2
    assert asked == [("org/name", None, "test"), ("org/name", "part", "train")]
    with pytest.raises(ProbeError, match=r"cannot load the data set 'org/name:none'.*not there"):
        list(conversations.read("org/name:none"))
