"""The border between text and ids: plain text, chats, masks, single tokens."""

import json
import random

import pytest
from checkpoints import BOS, EOS, EOT, MASK_TEXT, bpe, special_ids, write_llada, write_llama
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers import models as tokenizer_models

from mdlm_probe import models
from mdlm_probe.core import templates
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._border import Border, load_border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts.prompt import MASK, Prompt

IDS = special_ids()
MASKED = Checkpoint("m", "llada", "masked", mask_id=IDS[MASK_TEXT])
CHAT = Checkpoint("m-chat", "llada", "masked", mask_id=IDS[MASK_TEXT], chat=True)
CAUSAL = Checkpoint("c", "causal", "causal")
CAUSAL_CHAT = Checkpoint("c-chat", "causal", "causal", chat=True)
PROMPT = Prompt(
    (("Options: (A) cat", "Answer:[A]."), ("Options: (A) dog", "Answer:[")), "\n", "\n\n"
)


def masked_at(index, masks=1, prompt=PROMPT):
    turns = list(prompt.turns)
    turns[index] = (turns[index][0], "Answer:[" + MASK * masks + "].")
    if index != len(turns) - 1:
        turns[-1] = (turns[-1][0], "Answer:[B].")
    return Prompt(tuple(turns), prompt.turn, prompt.end)


def border(entry, *, bos=False, folder=None, **files):
    from checkpoints import TEMPLATE

    return Border(bpe(bos=bos), entry, files.get("template", TEMPLATE), {"bos_token": BOS})


# ---------------------------------------------------------------------- plain text


def test_plain_text_is_what_the_tokenizer_makes_of_it():
    text = PROMPT.text()
    assert text == "Options: (A) cat\nAnswer:[A].\n\nOptions: (A) dog\nAnswer:["
    assert list(border(CAUSAL).encode(PROMPT)) == bpe().encode(text).ids
    assert border(CAUSAL).encode(text) == border(CAUSAL).encode(PROMPT)


def test_bos_stands_at_the_start_only():
    text = f"cat {MASK} dog {MASK}"
    ids = border(MASKED, bos=True).encode(text)
    assert ids == (IDS[BOS], *border(MASKED).encode(text))
    assert ids.count(IDS[BOS]) == 1
    assert list(border(CAUSAL, bos=True).encode(PROMPT)) == bpe(bos=True).encode(PROMPT.text()).ids


def test_eos_that_a_tokenizer_appends_is_left_out():
    from tokenizers import processors

    tokenizer = bpe()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=[(BOS, IDS[BOS]), (EOS, IDS[EOS])]
    )
    ids = Border(tokenizer, MASKED).encode("cat")
    assert ids == (IDS[BOS], *bpe().encode("cat").ids)


@pytest.mark.parametrize("masks", [1, 2, 50])
def test_masks_become_the_mask_id(masks):
    ids = border(MASKED).encode(masked_at(1, masks))
    assert ids.count(IDS[MASK_TEXT]) == masks
    before, after = ids[: ids.index(IDS[MASK_TEXT])], ids[-2:]
    assert before == border(MASKED).encode(PROMPT)
    assert list(after) == bpe().encode("].").ids


def test_a_mask_never_changes_how_its_neighbours_are_cut():
    for left, right in (("cat", "dog"), ("c", "at"), (" ", " "), ("", ""), ("\n", "Answer")):
        ids = border(MASKED).encode(f"{left}{MASK}{right}")
        pieces = [bpe().encode(piece).ids for piece in (left, right)]
        assert list(ids) == [*pieces[0], IDS[MASK_TEXT], *pieces[1]]


def test_masks_in_a_causal_prompt_are_refused():
    with pytest.raises(ProbeError, match="c is causal"):
        border(CAUSAL).encode(masked_at(1))


def test_any_text_survives_the_round_trip():
    rng = random.Random(0)
    letters = "ab cat \n\t é中🙂<|>[].,’  " + EOT
    for _ in range(200):
        text = "".join(rng.choice(letters) for _ in range(rng.randrange(30)))
        assert border(MASKED).decode(border(MASKED).encode(text)) == text


def test_special_tokens_in_a_text_are_special_tokens():
    assert border(MASKED).encode(f"cat{EOT}") == (*border(MASKED).encode("cat"), IDS[EOT])
    assert border(MASKED).decode([IDS[EOT], IDS[MASK_TEXT]]) == EOT + MASK_TEXT


def test_padding_and_truncation_of_the_file_are_ignored():
    tokenizer = bpe()
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=20)
    assert Border(tokenizer, MASKED).encode("cat " * 9) == border(MASKED).encode("cat " * 9)


# ---------------------------------------------------------------------- single tokens


def test_single_tokens():
    assert border(MASKED).decode([border(MASKED).token(" cat")]) == " cat"
    assert border(MASKED).token(MASK) == IDS[MASK_TEXT]
    with pytest.raises(ProbeError, match="'cow' is 3 tokens for m: 'c', 'o', 'w'"):
        border(MASKED).token("cow")
    with pytest.raises(ProbeError, match="'' is 0 tokens"):
        border(MASKED).token("")


def test_words_outside_a_word_vocabulary():
    tokenizer = Tokenizer(tokenizer_models.WordLevel({"cat": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words = Border(tokenizer, MASKED)
    assert words.token("cat") == 0
    with pytest.raises(ProbeError, match="'dog' is not in the vocabulary of m"):
        words.token("dog")


# ---------------------------------------------------------------------- chats

HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"
USER, ASSISTANT = HEAD.format("user"), HEAD.format("assistant")


def test_last_turn_is_left_open():
    text = border(CAUSAL_CHAT).chat(PROMPT)
    assert text == (
        f"{BOS}{USER}Options: (A) cat{EOT}{ASSISTANT}Answer:[A].{EOT}"
        f"{USER}Options: (A) dog{EOT}{ASSISTANT}Answer:["
    )
    ids = border(CAUSAL_CHAT, bos=True).encode(PROMPT)
    assert list(ids) == bpe().encode(text).ids
    assert ids.count(IDS[BOS]) == 1


def test_masked_answer_in_the_last_turn():
    ids = border(CHAT).encode(masked_at(1))
    opening = border(CHAT).pieces(f"{EOT}{ASSISTANT}Answer:[{MASK}].")
    assert ids[-len(opening) :] == opening


def test_masked_answer_in_an_earlier_turn():
    text = border(CHAT).chat(masked_at(0))
    assert f"{ASSISTANT}Answer:[{MASK}].{EOT}{USER}" in text
    assert text.endswith(f"{ASSISTANT}Answer:[B].{EOT}")
    assert border(CHAT).encode(masked_at(0)).count(IDS[MASK_TEXT]) == 1


def test_templates_may_strip_what_is_not_asked():
    """The asked answer itself never goes through the template."""
    open_end = Prompt((("  Q  ", "A: "),), "", "")
    assert border(CHAT).chat(open_end) == f"{BOS}{USER}Q{EOT}{ASSISTANT}A: "


def test_a_template_that_repeats_masks_is_refused():
    template = "{% for m in messages %}{{ m['content'] + m['content'] }}{% endfor %}"
    with pytest.raises(ProbeError, match="keeps 2 of 1 masks"):
        border(CHAT, template=template).encode(masked_at(0))


@pytest.mark.parametrize(
    ("template", "whose"),
    [
        ("{{ bos_token }}Hello", "user"),
        ("{{ messages[-1]['content'] }}", "user"),
        ("{{ messages | map(attribute='role') | join }}", "user"),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "assistant"),
        ("{% for m in messages | reverse %}{{ m.content }}{% endfor %}", "assistant"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "user"),
        ("{% for m in messages %}{{ m.content[:9] }}{% endfor %}", "user"),
    ],
)
def test_every_message_must_stand_in_the_prompt(template, whose):
    with pytest.raises(ProbeError, match=f"leaves out .* messages: the {whose}'s") as error:
        border(CHAT, template=template).encode(PROMPT)
    assert "--style base" in error.value.hint


def test_short_messages_are_not_found_in_other_words():
    """`a` stands in `assistant`, whether the answer does or not."""
    template = "{% for m in messages %}{{ m.role }}{% if m.role == 'user' %}{{ m.content }}"
    template += "{% endif %}{% endfor %}"
    with pytest.raises(ProbeError, match=r"leaves out .* the assistant's"):
        border(CHAT, template=template).encode(Prompt((("q", "a"), ("q", "")), "", ""))


def test_a_system_message_may_stand_elsewhere_but_not_nowhere():
    chat = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    moved = "{{ messages[1].content }}: {{ messages[0].content }}"
    assert border(CHAT, template=moved).render(chat, True) == "U: S"
    with pytest.raises(ProbeError, match="the system's"):
        border(CHAT, template="{{ messages[1].content }}").render(chat, True)


@pytest.mark.parametrize(
    ("template", "match"),
    [
        ("", "has no chat template"),
        (
            "{{ raise_exception('roles must alternate') }}",
            "refuses this chat: roles must alternate",
        ),
        ("{% if %}", "can't be read"),
        ("{{ ''.__class__.__mro__ }}", "refuses this chat"),
        ("{{ 1 / 0 }}", "refuses this chat: ZeroDivisionError"),
        ("{{ messages + 1 }}", "refuses this chat: TypeError"),
        ("{% include 'x' %}", "refuses this chat: TypeError: no loader"),
        ("{{ 'a' * 10 ** 7 }}", "refuses this chat: it writes more than"),
        ("{{ 'a' | center(10 ** 11) }}", "refuses this chat: it takes more than"),
        ("{% for a in range(9**5) %}" * 2 + "{% endfor %}" * 2, "this chat: it takes longer than"),
    ],
)
def test_templates_that_do_not_work(template, match, monkeypatch):
    monkeypatch.setattr(templates, "SECONDS", 0.3)
    with pytest.raises(ProbeError, match=match):
        border(CHAT, template=template).encode(PROMPT)


def test_generation_tags_and_dates():
    template = (
        "{%- set d = strftime_now('%Y') if strftime_now is defined else 'fixed' %}{{ d }}"
        "{% generation %}{{ messages[0]['content'] }}{% endgeneration %}{{ [1] | tojson }}"
    )
    assert border(CHAT, template=template).render([{"role": "user", "content": "x"}], True) == (
        "fixedx[1]"
    )


def test_rendering_equals_transformers(tmp_path):
    from transformers import PreTrainedTokenizerFast

    folder = write_llama(tmp_path / "m")
    theirs = PreTrainedTokenizerFast.from_pretrained(folder)
    messages = [
        {"role": "user", "content": "Options: (A) cat "},
        {"role": "assistant", "content": "Answer:[A]."},
        {"role": "user", "content": "dog?"},
    ]
    ours = load_border(folder, CAUSAL_CHAT)
    for opened in (True, False):
        text = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)
        assert ours.render(messages, opened) == text
    wrapped = Border(theirs, CAUSAL_CHAT)
    assert wrapped.encode(PROMPT) == ours.encode(PROMPT)


@pytest.mark.parametrize("where", ["jinja", "json", "list", "config"])
def test_where_templates_are_found(tmp_path, where):
    folder = write_llada(tmp_path / "m", template="")
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text())
    if where == "jinja":
        (folder / "chat_template.jinja").write_text("found")
    elif where == "json":
        (folder / "chat_template.json").write_text('{"chat_template": "found"}')
    elif where == "list":
        named = [{"name": "tool", "template": "x"}, {"name": "default", "template": "found"}]
        path.write_text(json.dumps(told | {"chat_template": named}))
    else:
        path.write_text(json.dumps(told | {"chat_template": "found"}))
    assert load_border(folder, CHAT).render([], True) == "found"


# ---------------------------------------------------------------------- files


def test_no_tokenizer(tmp_path):
    folder = write_llada(tmp_path / "m")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ProbeError, match="no tokenizer in"):
        load_border(folder, MASKED)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ProbeError, match="cannot read the tokenizer in"):
        load_border(folder, MASKED)


def test_turn_ends_are_found_in_the_tokenizer(tmp_path):
    folder = write_llada(tmp_path / "m-instruct")
    entry = models.load_border(models.resolve(str(folder))).entry
    assert entry.eos_ids == (IDS[EOS], IDS[EOT])
    assert entry.chat


def test_a_token_where_it_follows_another():
    """A tokenizer that puts a mark before every text gives the letter inside the brackets."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocab = {"<unk>": 0, "▁A": 1, "A": 2, "▁": 3, "[": 4, "▁[": 5}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocab, merges=[("▁", "A"), ("▁", "[")], unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    border = Border(tokenizer, Checkpoint("m", "causal", "causal", context=9))
    assert border.token("A") == vocab["▁A"]
    assert border.token("A", "[") == vocab["A"]


# ---------------------------------------------------------------------- whose tokens


def texts_by_owner(one, prompt):
    """The text that each turn's tokens spell, -1 for nobody's."""
    ids, owners = one.encode(prompt), one.owners(prompt)
    assert len(ids) == len(owners)
    return {
        turn: one.decode([i for i, owner in zip(ids, owners, strict=True) if owner == turn])
        for turn in sorted(set(owners))
    }


@pytest.mark.parametrize("bos", [False, True])
def test_tokens_of_plain_text_belong_to_the_turn_they_begin_in(bos):
    found = texts_by_owner(border(MASKED, bos=bos), masked_at(1, 3))
    assert found.pop(-1, None) == (BOS if bos else None)
    assert found == {
        0: "Options: (A) cat\nAnswer:[A].\n\n",
        1: f"Options: (A) dog\nAnswer:[{MASK_TEXT * 3}].",
    }


def test_a_token_across_two_turns_belongs_to_the_first():
    """`cat` + `dog` with nothing between are cut inside neither; `ca` + `t` is one token."""
    split = Prompt((("dog", "ca"), ("t", "dog")), "", "")
    assert texts_by_owner(border(CAUSAL), split) == {0: "dogcat", 1: "dog"}


@pytest.mark.parametrize("index", [0, 1])
def test_tokens_of_a_chat_belong_to_the_turn_of_their_message(index):
    """Whitespace that the template trims is gone; its own tokens belong to nobody."""
    turns = (("Options: (A) cat ", "Answer:[A]. "), ("\nOptions: (A) dog", "Answer:[B]."))
    prompt = masked_at(index, prompt=Prompt(turns, "\n", "\n\n"))
    found = texts_by_owner(border(CHAT), prompt)
    answers = ["Answer:[A].", "Answer:[B]."]
    answers[index] = f"Answer:[{MASK_TEXT}]."
    assert found[0] == "Options: (A) cat" + answers[0]
    assert found[1] == "Options: (A) dog" + answers[1]
    rest = BOS + (USER + EOT + ASSISTANT + EOT) * 2
    assert found[-1] == (rest if index == 0 else rest.removesuffix(EOT))


def test_messages_are_found_by_place_and_not_by_spelling():
    """An answer `a` isn't the `a` of `assistant`, nor of the question."""
    prompt = Prompt((("a", "a"), ("a", "a")), "\n", "\n\n")
    assert texts_by_owner(border(CAUSAL_CHAT), prompt) == {
        -1: f"{BOS}{USER}{EOT}{ASSISTANT}{EOT}{USER}{EOT}{ASSISTANT}",
        0: "aa",
        1: "aa",
    }


def test_a_template_that_changes_messages_has_no_owners():
    template = "{% for m in messages %}{{ m['content'][:9] }}|{% endfor %}"
    with pytest.raises(ProbeError, match="changes the texts of messages"):
        border(CAUSAL_CHAT, template=template).owners(PROMPT)


@pytest.mark.parametrize("name", ["tiny-mdlm", "tiny-arlm"])
def test_owners_of_the_bundled_tokenizer(name):
    one = models.load_border(models.resolve(name))
    turns = (("Options: (A) 12, (B) Bulgaria", "Answer:[12]."), ("Options: (A) 7", "Answer:["))
    found = texts_by_owner(one, Prompt(turns, "\n", "\n\n"))
    assert found[0] == "Options: (A) 12, (B) Bulgaria\nAnswer:[12].\n\n"
    assert found[1] == "Options: (A) 7\nAnswer:["
    assert -1 not in found
