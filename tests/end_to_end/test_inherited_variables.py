"""Whatever a process inherits: commands run, and reports come out."""

import json
import os
import subprocess
import sys

import pytest
import reference

ODD = {
    "MPLBACKEND": "module://nowhere",
    "COLUMNS": "abc",
    "LINES": "-3",
    "TERM": "bogus",
    "PYTHONIOENCODING": "ascii",
    "LC_ALL": "xx_XX",
    "PYTHONUTF8": "0",
    "TZ": "Nowhere/City",
    "HF_HOME": "/proc/none",
    "HF_HUB_OFFLINE": "maybe",
    "HF_HUB_VERBOSITY": "foo",
    "TRANSFORMERS_VERBOSITY": "foo",
    "TOKENIZERS_PARALLELISM": "maybe",
    "LOGLEVEL": "foo",
    "OMP_NUM_THREADS": "abc",
    "MKL_NUM_THREADS": "-1",
    "CUDA_VISIBLE_DEVICES": "99",
    "DATASETS_VERBOSITY": "foo",
    "TMPDIR": "/nonexistent",
    "NUMEXPR_MAX_THREADS": "x",
    "TQDM_MININTERVAL": "abc",
    "TQDM_NCOLS": "abc",
    "JUPYTER_COLUMNS": "abc",
    "WANDB_MODE": "bogus",
    "RAY_ADDRESS": "x:1",
    "XDG_CACHE_HOME": "/proc/none",
    "HOME": "/nonexistent",
    "PYTHONOPTIMIZE": "2",
    "PYTORCH_ALLOC_CONF": "foo:bar",
    "HF_HUB_DOWNLOAD_TIMEOUT": "abc",
    "HF_HUB_ETAG_TIMEOUT": "abc",
    "TORCH_LOGS": "foo",
    "HF_ENDPOINT": "nonsense",
    "LMEVAL_LOG_LEVEL": "foo",
    "JAXTYPING_DISABLE": "maybe",
    "ARROW_DEFAULT_MEMORY_POOL": "foo",
    "OPENBLAS_NUM_THREADS": "abc",
    "USE_TORCH": "0",
}


RUN = """
import json, sys
from mdlm_probe import cli
for arguments in json.loads(sys.argv[1]):
    try:
        cli.main(arguments, prog_name="mdlm-probe")
    except SystemExit as ended:
        if ended.code:
            raise
"""
"""Both commands in one process, as each is typed."""


@pytest.mark.slow
def test_no_inherited_variable_breaks_a_command(tmp_path):
    reference.run(tmp_path, "canvas", "tiny-mdlm")  # a page that is soon drawn
    masks = ["masks", "--model", "tiny-mdlm", "--limit", "1", "--tasks", "verb", "--masks", "0,5"]
    typed = [["report", str(tmp_path)], [*masks, "-q", "-o", str(tmp_path / "masks")]]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(typed)],
        env=os.environ | ODD,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "masks" / "masks.png").exists()
