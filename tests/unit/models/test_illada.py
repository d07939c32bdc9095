"""iLLaDA: Llama's names and keys under a model_type of its own, with both biases left out."""

from dense_checkpoints import write_dense

from mdlm_probe import models
from mdlm_probe.models import LoadOptions


def test_base_and_instruct_are_of_this_family_not_of_lladas():
    for name in ("illada-8b", "illada-8b-instruct"):
        entry = models.resolve(name)
        assert (entry.family, entry.mask_id, entry.attention) == ("illada", 5, "bidirectional")
    assert models.relation(models.resolve("llama3-8b"), models.resolve("illada-8b")) == ""


def test_the_mask_keeps_the_name_that_the_tokenizer_has_for_it(tmp_path):
    border = models.load_border(models.resolve(str(write_dense(tmp_path / "m", "illada"))))
    assert border.decode([border.entry.mask]) == border.tokenizer.id_to_token(5)


def test_a_plain_rope_scaling_is_no_scaling(tmp_path):
    told = {"rope_scaling": {"type": "default", "factor": 1.0}}
    folder = write_dense(tmp_path / "m", "illada", config=told)
    assert models.load(models.resolve(str(folder)), LoadOptions()).entry.family == "illada"
