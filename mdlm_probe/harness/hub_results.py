"""lm-eval's results on the Hugging Face Hub: its own tracker, with its own arguments.

The tracker pushes while it saves, and only logs what goes wrong. Here a push is refused before the
evaluation where it can't be, and one that failed is an error once all files are written.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lm_eval.loggers import EvaluationTracker

from mdlm_probe.core import catalog, hub
from mdlm_probe.core.errors import ProbeError

OPTION = "hf_hub_log_args"
OURS = ("self", "output_path", "token")
"""Arguments of the tracker that nobody gives: --output and the environment say them."""
PUSHES = ("push_results_to_hub", "push_samples_to_hub")
KEPT = "what was measured is kept, and the same command pushes again"


class WatchedApi:
    """`HfApi`, whose first failure is kept: lm-eval's tracker only logs it.

    Attributes:
        failure: the first error that a call ended with.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        return partial(self._called, found) if callable(found) else found

    def _called(self, method: Callable[..., Any], *given: Any, **more: Any) -> Any:
        try:
            return method(*given, **more)
        except Exception as error:
            self.failure = self.failure or error
            raise


def check(arguments: Mapping[str, Any], log_samples: bool) -> None:
    """Refuses arguments that the tracker doesn't have, or that can't be meant.

    Raises:
        ProbeError: naming the argument.
    """
    known = inspect.signature(EvaluationTracker).parameters
    if "token" in arguments:
        raise ProbeError(
            "a token on the command line can be read by others of this machine",
            expected="no token=",
            hint=hub.LOGIN,
            option=OPTION,
        )
    for name, value in arguments.items():
        if name not in known or name in OURS:
            error = catalog.unknown("argument", name, [n for n in known if n not in OURS])
            raise ProbeError(error.found, expected=error.expected, hint=error.hint, option=OPTION)
        wanted = type(known[name].default)
        if not isinstance(value, wanted):
            expected = "True or False" if wanted is bool else "a text"
            raise ProbeError(
                f"--{OPTION} has {name}={value}", expected=f"{name}: {expected}", option=OPTION
            )
    if arguments and not any(arguments.get(name) for name in PUSHES):
        raise ProbeError(
            f"--{OPTION} pushes nothing", expected=" or ".join(f"{n}=True" for n in PUSHES),
            option=OPTION,
        )  # fmt: skip
    if arguments.get("push_samples_to_hub") and not log_samples:
        raise ProbeError("push_samples_to_hub pushes the files of --log_samples",
                         expected="--log_samples", option=OPTION)  # fmt: skip


def tracker_for(output: Path, arguments: Mapping[str, Any]) -> EvaluationTracker:
    """lm-eval's tracker, which pushes where the arguments say so.

    Raises:
        ProbeError: no token, no network, or a repository that everybody can read.
    """
    if not arguments:
        return EvaluationTracker(output_path=str(output))
    token = hub.token_for(OPTION)
    try:
        made = EvaluationTracker(output_path=str(output), token=token, **arguments)
        made.api.whoami()
        for repo in repositories(made):
            if not made.public_repo:
                hub.check_private(made.api, repo, OPTION, "public_repo=True")
    except ProbeError:
        raise
    # the Hub's own, the network's, and whatever lies below: none of it is a bug of ours to trace
    except Exception as error:
        raise _refused(error) from None
    made.api = WatchedApi(made.api)
    return made


def repositories(tracker: EvaluationTracker) -> list[str]:
    """The data sets that a tracker pushes to."""
    results, details = (
        getattr(tracker, f"{kind}_repo{'' if tracker.public_repo else '_private'}")
        for kind in ("results", "details")
    )
    found = [results] * tracker.push_results_to_hub + [details] * tracker.push_samples_to_hub
    return list(dict.fromkeys(found))


def finish(tracker: EvaluationTracker) -> list[str]:
    """Writes the card of what was pushed, as lm-eval does; returns what to tell the user.

    Raises:
        ProbeError: something could not be pushed.
    """
    if not (repos := repositories(tracker)):
        return []
    if tracker.api.failure:
        raise _refused(tracker.api.failure)
    said = [f"pushed to {hub.address(repo)}" for repo in repos]
    try:
        tracker.recreate_metadata_card()
    except Exception as error:  # the card reads all files back from the Hub; they are there
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        said.append(f"its card was not written: {reason}")
    return said


def _refused(error: Exception) -> ProbeError:
    expected = "the Hub within reach, and a token that may write to the repository"
    return hub.refused(f"--{OPTION}", error, OPTION, expected, KEPT)
