"""A2D: whole texts or blocks, which nothing but the user, the registry or config.json can say."""

import json
import shutil

import pytest
import real_tokenizers
from checkpoints import llama_weights, save_weights
from dense_checkpoints import DENSE, write_dense

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, _slack
from mdlm_probe.prompts.prompt import MASK, Prompt
from mdlm_probe.runs.plan import Job, prepare


def entry(folder, **options):
    return models.entry_for(str(folder), LoadOptions(**options))


def test_a_folder_that_does_not_say_how_it_attends_is_refused(tmp_path):
    folder = write_dense(tmp_path / "m", "a2d-qwen3")
    with pytest.raises(ProbeError, match="doesn't say how long the blocks are") as error:
        entry(folder)
    assert error.value.option == "block_size"
    assert "--block-size; 0 where" in error.value.expected
    assert entry(folder, block_size=0).attention == "bidirectional"
    told = entry(folder, block_size=8)
    assert (told.attention, told.block, told.origin) == ("block-causal", 8, "prompt")


def test_config_json_has_the_last_word(tmp_path):
    folder = write_dense(tmp_path / "m", "a2d-qwen3", config={"block_size": 8})
    assert entry(folder).block == entry(folder, block_size=8).block == 8
    with pytest.raises(ProbeError, match=r"--block-size is 4, but .* key 'block_size', says 8"):
        entry(folder, block_size=4)
    both = {"block_size": 8, "bd_size": 4}
    with pytest.raises(ProbeError, match="key 'bd_size': found 4"):
        entry(write_dense(tmp_path / "n", "a2d-qwen3", config=both))


def test_a_registered_checkpoint_has_the_blocks_that_it_was_trained_with(tmp_path):
    assert models.resolve("a2d-0.6b-mdlm").attention == "bidirectional"
    assert models.resolve("dllm-hub/Qwen3-0.6B-diffusion-bd3lm-v0.1").block == 32
    with pytest.raises(ProbeError, match=r"'a2d-0\.6b-mdlm' is registered with blocks of 0, not 4"):
        models.entry_for("a2d-0.6b-mdlm", LoadOptions(block_size=4))


def test_the_choice_is_recorded_and_older_runs_resume(tmp_path):
    folder = str(write_dense(tmp_path / "m", "a2d-qwen3"))
    assert "block_size" not in LoadOptions().recorded()
    assert "block_size" not in prepare(Job("locality", "tiny-mdlm")).config["load"]
    for size in (0, 4):
        job = Job("masks", folder, {"limit": 1}, LoadOptions(block_size=size))
        assert prepare(job).config["load"]["block_size"] == size


@pytest.mark.parametrize("architecture", ["A2DQwen2LMHeadModel", "A2DLlamaLMHeadModel"])
def test_a_class_of_another_network_than_its_model_type_is_refused(tmp_path, architecture):
    folder = write_dense(tmp_path / "m", "a2d-qwen3", config={"architectures": [architecture]})
    with pytest.raises(ProbeError, match="key 'architectures': found"):
        entry(folder, block_size=0)


# ---------------------------------------------------------------------- the real tokenizer


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Qwen3's own vocabulary and tokenizer files, with a very small network."""
    files = real_tokenizers.place("qwen3")
    folder = tmp_path_factory.mktemp("real") / "m-instruct"
    shape = {"hidden": 8, "heads": 2, "kv_heads": 1, "head_dim": 4, "intermediate": 8}
    config = {"vocab_size": 151936, "mask_token_id": ..., "eos_token_id": 151645}
    write_dense(folder, "a2d-qwen3", config={**config, "head_dim": 4, "hidden_size": 8}, **shape)
    network = DENSE["a2d-qwen3"].network
    save_weights(folder, llama_weights(**{**network, **shape, "vocab": 151936}))
    for file in real_tokenizers.FILES:
        shutil.copy(files / file, folder / file)
    return folder


@pytest.fixture(scope="module")
def border(real):
    """Read once: a vocabulary of this size takes a second."""
    return models.load_border(entry(real, block_size=0), LoadOptions(block_size=0))


@pytest.mark.slow
def test_the_mask_token_that_the_files_lack_has_its_name(real, border):
    assert "<|mask|>" not in (real / "tokenizer.json").read_text(encoding="utf-8")
    assert border.entry.mask_id == 151669  # the family's: config.json names none
    ids = border.encode(f"a {MASK}b")
    assert ids[-2] == 151669
    assert border.decode(ids) == "a <|mask|>b"
    assert border.encode("a <|mask|>b") == ids
    assert 151669 not in border.ordinary
    assert border.entry.eos_ids == (151645,)
    assert _slack.slack_id(border) == 151670  # the next row, not the mask's


def test_chats_are_written_as_the_authors_code_writes_them(border):
    """It tells the template not to think unless a user asks for that."""
    text = border.chat(Prompt((("Which?", f"[{MASK}]"),), " ", "\n"))
    asked = "<|im_start|>user\nWhich?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert text == f"{asked}[{MASK}]"


@pytest.mark.slow
def test_it_loads_with_the_real_vocabulary(real):
    options = LoadOptions(block_size=0)
    model = models.load(entry(real, block_size=0), options)
    assert model.vocab == 151936
    assert model.entry.chat


@pytest.mark.slow
def test_a_tokenizer_whose_mask_would_be_another_token(real, tmp_path):
    folder = shutil.copytree(real, tmp_path / "m")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mask_token_id": 151700}))
    with pytest.raises(ProbeError, match=r"'<\|mask\|>' would be token 151669 of") as error:
        models.load_border(entry(folder, block_size=0), LoadOptions(block_size=0))
    assert error.value.expected == "151700, the mask token's id"


@pytest.mark.slow
def test_a_mask_id_that_is_another_token(real, tmp_path):
    folder = shutil.copytree(real, tmp_path / "m")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"mask_token_id": 151665}))
    with pytest.raises(ProbeError, match="token 151665 of the tokenizer is '<tool_response>'"):
        models.load_border(entry(folder, block_size=0), LoadOptions(block_size=0))
