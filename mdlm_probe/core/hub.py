"""The Hugging Face Hub, for what is pushed there: its token, whether it answers, its refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.secrets import redacted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOGIN = "set HF_TOKEN, or `hf auth login`, with a token that may write"


def token_for(option: str) -> str:
    """The token of HF_TOKEN or of `hf auth login`.

    Raises:
        ProbeError: there is none.
    """
    import huggingface_hub

    found = huggingface_hub.get_token()
    if not found:
        raise ProbeError(
            f"--{option} pushes to the Hugging Face Hub, and there is no token",
            expected="a token that may write there",
            hint=LOGIN,
            option=option,
        )
    return found


def refused(what: str, error: Exception, option: str, expected: str, kept: str) -> ProbeError:
    """The error for a push that failed; without the token, whatever the Hub says.

    Args:
        what: the option and its value.
        error: the Hub's, or the network's.
        option: its name.
        expected: what the push needs.
        kept: what is there all the same.
    """
    import huggingface_hub

    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    token = huggingface_hub.get_token()
    return ProbeError(
        f"{what} failed: {redacted(said, (token,) if token else ())}",
        expected=expected,
        hint=f"{LOGIN}; {kept}",
        option=option,
    )


def check_private(api: HfApi, repo: str, option: str, public: str) -> bool:
    """Whether a repository of a data set is there; refuses one that everybody can read.

    Args:
        api: knows the repository.
        repo: OWNER/NAME.
        option: that asks for the push.
        public: what says that everybody may read it.

    Raises:
        ProbeError: it is public. Errors of the Hub and the network are the caller's.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = api.repo_info(repo, repo_type="dataset")
    except RepositoryNotFoundError:
        return False
    if not info.private:
        raise ProbeError(
            f"{repo} is on the Hub already, and public",
            expected=f"a private repository, or {public}",
            option=option,
        )
    return True


def address(repo: str) -> str:
    """Where a repository of a data set can be seen."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/datasets/{repo}"
