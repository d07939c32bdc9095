"""What a process that runs tests sets, and imports, before the first of them is collected.

Shapes in signatures are checked here, and only here.
"""

import functools
import os

import shape_checks

shape_checks.check("mdlm_probe")  # before anything imports it

import pandas as pd  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from simulations import WHOLE  # noqa: E402
from torch.utils import collect_env  # noqa: E402

# lm-eval without a hub, a screen or other processes
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")
torch.set_num_threads(1)
# as in `frames.light_texts`, which reports are made in, for tests that call a report's functions
pd.set_option("mode.string_storage", "python")
# lm-eval describes the machine after every evaluation, by programs that it starts: once is enough
collect_env.get_pretty_env_info = functools.cache(collect_env.get_pretty_env_info)

# a busy machine is no fault of a test: nothing is failed for how long it took
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=100 if WHOLE else 25,
)
settings.load_profile("untimed")

pytest_plugins = [
    "eval_fixtures",
    "export_fixtures",
    "judge_fixtures",
    "page_fixtures",
    "reference_fixtures",
]
