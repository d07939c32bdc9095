"""Plans: files and models by name, cells that a model can answer, configurations."""

import pytest
from checkpoints import write_llada
from small_job import OPTIONS, Log, job

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.runs import runner
from mdlm_probe.runs.plan import Job, prepare, prepare_all, slug


def test_cells_a_model_cannot_answer_are_left_out_with_a_reason(tmp_path):
    places = {"options": {**OPTIONS, "question": ("left", "right")}}
    plan = prepare(job(tmp_path, "oracle-causal", **places))
    assert len(plan.cells) == 12
    assert list(plan.refused.values()) == [12]
    log = Log()
    runner.run(plan, log)
    assert "12 cells left out: a causal model can't see" in log.notes[0]
    with pytest.raises(ProbeError, match="nothing to ask 'oracle-causal': a causal model"):
        prepare(job(tmp_path, "oracle-causal", options={**OPTIONS, "question": ("left",)}))


def test_a_probe_for_other_kinds_is_refused(monkeypatch):
    monkeypatch.setattr(locality, "KINDS", ("masked",))
    with pytest.raises(ProbeError, match="not for causal models such as 'oracle-causal'"):
        prepare(Job("locality", "oracle-causal"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("llada-8b", "llada-8b"), ("./my ckpt/", "my-ckpt"), ("org/name", "org-name"), ("/", "model")],
)
def test_names_of_files(name, expected):
    assert slug(name) == expected


def test_load_options_are_part_of_the_configuration():
    plain = prepare(Job("locality", "oracle"))
    half = prepare(Job("locality", "oracle", load=LoadOptions(dtype="bfloat16")))
    assert plain.config != half.config


def test_two_folders_of_one_name_are_refused_before_any_work(tmp_path):
    jobs = [
        job(tmp_path / "r", str(write_llada(tmp_path / name / "checkpoint-100", context=1024)))
        for name in "ab"
    ]
    with pytest.raises(ProbeError, match="would both be called 'checkpoint-100'"):
        prepare_all(jobs)


def test_a_folder_is_the_same_however_it_is_typed(tmp_path, monkeypatch):
    write_llada(tmp_path / "m", context=1024)
    monkeypatch.chdir(tmp_path)
    first, *others = (
        prepare(job(tmp_path, name)).config for name in ("./m", str(tmp_path / "m"), "./m/")
    )
    assert others == [first, first]
