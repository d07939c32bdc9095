"""The training and the step that a checkpoint's folder tells."""

import json

import pytest

from mdlm_probe import models


def made(home, name):
    folder = home / name
    folder.mkdir(parents=True)
    return folder


def told(home, name):
    """The training below `home`, and the step, of a folder that is made there."""
    found = models.training_step(str(made(home, name)))
    return found and (found.training.removeprefix(str(home.resolve())).lstrip("/"), found.step)


@pytest.mark.parametrize(
    ("name", "training", "step"),
    [
        ("run/checkpoint-500", "run", 500),
        ("run/step_1000", "run", 1000),
        ("run/global_step2000", "run", 2000),
        ("run/iter-0000300", "run", 300),
        ("run/iter_0000300", "run", 300),
        ("run/STEP-7", "run", 7),
        ("run/step-10k", "run", 10_000),
        ("run/checkpoint-0", "run", 0),
        ("run/epoch_3-step_600", "run", 600),
        ("run/epoch=3-step=600", "run", 600),
        ("run/ckpt-step-600", "run", 600),
        ("run/step=600-val_loss=0.31", "run", 600),
        ("run/stage1-step1000-tokens5B", "run/stage1", 1000),
        ("runs/llada-lr1e4-step-600", "runs/llada-lr1e4", 600),
        ("runs/step600-ema", "runs/ema", 600),
        ("run/global_step_40/actor/huggingface", "run", 40),
    ],
)
def test_names_that_say_a_step(tmp_path, name, training, step):
    assert told(tmp_path, name) == (training, step)


@pytest.mark.parametrize(
    "name", ["final", "checkpoint", "step-3.5-flash", "stepping4", "misstep5", "llada-8b", "step3b"]
)
def test_names_that_say_none(tmp_path, name):
    assert told(tmp_path, f"run/{name}") is None


def test_what_is_no_folder_has_no_step():
    assert models.training_step("") is None
    assert models.training_step("org/model-step-100") is None


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ('{"global_step": 70}', 70),
        ('{"global_step": -1}', None),
        ('{"global_step": true}', None),
        ('{"global_step": "70"}', None),
        ("{}", None),
        ("[70]", None),
        ("{", None),
    ],
)
def test_trainers_own_file_says_it_where_the_name_does_not(tmp_path, text, step):
    folder = made(tmp_path, "run/final")
    (folder / "trainer_state.json").write_text(text)
    found = models.training_step(str(folder))
    assert (found and found.step) == step
    assert found is None or found.training == str(tmp_path.resolve() / "run")


def test_the_last_model_beside_its_checkpoints_is_of_their_training(tmp_path):
    """Trainer leaves it in the folder that holds the checkpoints, too."""
    inner = made(tmp_path, "run/checkpoint-500")
    (tmp_path / "run" / "trainer_state.json").write_text(json.dumps({"global_step": 700}))
    last, first = (models.training_step(str(path)) for path in (inner.parent, inner))
    assert (last.step, first.step) == (700, 500)
    assert last.training == first.training


def test_a_link_is_the_checkpoint_that_it_leads_to(tmp_path):
    inner = made(tmp_path, "run/checkpoint-500")
    (tmp_path / "latest").symlink_to(inner)
    assert models.training_step(str(tmp_path / "latest")).step == 500
