"""The real tokenizers of Llama 3 and Qwen in every format that is read: borders, whole probes."""

import csv
from dataclasses import replace

import pytest
from real_checkpoints import KINDS, write_real
from real_tokenizers import border as real_border
from real_tokenizers import place
from simulations import simulation, spread
from small_job import Log
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from mdlm_probe import models
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.queries import Query
from mdlm_probe.harness import request_tokens
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._cutter import inside_text
from mdlm_probe.probes.masks import fillers
from mdlm_probe.prompts import list_prompts, texts
from mdlm_probe.prompts.prompt import MASK, Prompt
from mdlm_probe.runs import runner
from mdlm_probe.runs.executors import InProcess
from mdlm_probe.runs.plan import Job, prepare

NAMES = ("llama3", "qwen3")
CHAT = Checkpoint("m-chat", "llada", "masked", mask_id=7, chat=True, context=4096)
PLAIN = replace(CHAT, chat=False)
PROMPT = Prompt(
    (("Options: (A) 17, (B) cat", "Answer:[A]."), ("(A) dog?", "Answer:[")), "\n", "\n\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_texts_and_chats_are_those_of_transformers(name):
    theirs, ours = (
        PreTrainedTokenizerFast.from_pretrained(place(name)),
        real_border(name, CHAT),
    )
    for text in texts.load("decay"):
        whole = text.prompt + text.continuation
        assert list(ours.pieces(whole)) == theirs(whole, add_special_tokens=False)["input_ids"]
        assert ours.decode(ours.pieces(whole)) == whole
    messages = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "I."}]
    for opened in (False, True):
        text = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)
        assert ours.render(messages, opened) == text


@pytest.mark.parametrize("name", NAMES)
def test_masks_stand_alone(name):
    border = real_border(name, PLAIN)
    for left, right in (("Answer:[", "]."), ("the ", " cat"), ("the", "cat"), (":", "\n")):
        ids = border.pieces(f"{left}{MASK}{right}")
        assert ids == (*border.pieces(left), 7, *border.pieces(right))


@pytest.mark.parametrize("spaced", [False, True])
def test_a_decoder_of_bytes_adds_no_space_whatever_it_says(spaced):
    """So no copy of such a tokenizer is made for what stands inside a text."""
    own, other = (decoders.ByteLevel(add_prefix_space=kind) for kind in (spaced, not spaced))
    empty, whole = Tokenizer(BPE()), real_border("llama3", PLAIN).tokenizer
    empty.decoder = own
    assert inside_text(empty) is empty
    for text in ("the", " the", "  the\n", ""):
        tokens = whole.encode(text, add_special_tokens=False).tokens
        assert own.decode(tokens) == other.decode(tokens) == text


@pytest.mark.parametrize("name", NAMES)
def test_a_word_cut_amid_its_token_is_tokenised_apart(name):
    """`Answer` is one token: by lm-eval's cut nothing is left of `wer`."""
    border = real_border(name, PLAIN)
    border.specials = {"eos_token": border.decode([border.vocab - 1])}
    before, both = border.pieces("the Ans"), border.pieces("the Answer")
    assert len(both) == len(before)
    assert request_tokens.pair(border, "the Ans", "wer") == (before, border.pieces("wer"), True)
    whole = request_tokens.pair(border, "the", " Answer")
    assert (*whole.before, *whole.after) == both
    assert not whole.apart


def test_no_mask_goes_into_a_chat_that_begins_like_its_turns():
    """In SmolLM2's chats the beginning of text, <|im_start|>, begins every turn."""
    border = real_border("qwen3", CHAT)
    border.specials = {**border.specials, "bos_token": "<|im_start|>"}
    ids = border.encode(PROMPT)
    assert border.decode(ids[:2]) == "<|im_start|>user"
    tail = fillers.Tail("3", "mask", "left", "].", 0)
    asked = fillers.extend(DryRun(border.entry, border), Query(ids, (len(ids) - 1,), ()), tail)
    assert asked.ids == (7, 7, 7, *ids)
    llama = real_border("llama3", CHAT)
    ids = llama.encode(PROMPT)
    assert llama.decode(ids[:1]) == "<|begin_of_text|>"
    asked = fillers.extend(DryRun(llama.entry, llama), Query(ids, (len(ids) - 1,), ()), tail)
    assert asked.ids == (ids[0], 7, 7, 7, *ids[1:])


@pytest.mark.slow
def test_dreams_files_cut_as_qwens_do(tmp_path):
    dream = models.load_border(models.resolve(str(write_real(tmp_path / "dream", "dream"))))
    qwen = real_border("qwen3", PLAIN)
    for text in texts.load("decay"):
        assert dream.pieces(text.prompt) == qwen.pieces(text.prompt)
    assert dream.decode([dream.entry.mask_id]) == "<|mask|>"


@pytest.mark.parametrize("name", NAMES)
def test_words_of_lists_are_one_token_each(name):
    border = real_border(name, PLAIN)
    source = list_prompts.load()
    tokens = {border.token(f" {word}", inside=True) for word in source.words}
    assert len(tokens) == len(source.words)
    item = source.task("copy", 4, 0, 0, lambda word: True)
    (question, opening) = source.prompt(item, [], 0, False).turns[0]
    written = border.cut(f"{question}\n{opening}", list_prompts.spaced(item.words))
    assert written[1] == tuple(border.token(f" {w}", inside=True) for w in item.words)
    assert not written[2]


JOBS = {
    "parallel": {"families": ("shuffle",), "words": (3,), "per_step": (1,), "shots": 1},
    "locality": {"positions": (0, 2), "shots": 1, "distractors": 2, "tasks": ("verb-smallest",)},
    "masks": {"masks": ("0", "5"), "shots": (1,), "distractors": (1,), "tasks": ("verb-smallest",)},
    "needle": {"lengths": (128,), "depths": (0, 100)},
    "decay": {"masks": 8, "ar_sample": 4, "tasks": ("code",)},
}


@simulation
@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_probes_run_on_every_format(tmp_path, kind):
    """Whole vocabularies, random weights: what is asked is real, what is answered is noise.

    Of every format two probes or one, and of every probe two formats or one, unless all are tried.
    """
    asked = [probe for own, probe in spread(KINDS, JOBS, every=3) if own == kind]
    folder, load = write_real(tmp_path / kind, kind), models.LoadOptions(style="chat")
    executor = InProcess()
    entry = executor.border(models.resolve(str(folder)), load).entry
    for probe in asked:
        given = {"limit": 1, **JOBS[probe]}
        if probe == "decay" and entry.kind == "masked":
            del given["ar_sample"]
        plan = prepare(Job(probe, str(folder), given, load, tmp_path / probe))
        path = runner.run(plan, Log(), executor)
        with path.open(encoding="utf-8") as file:
            assert list(csv.DictReader(file))
    assert executor.loaded.loads == 1
