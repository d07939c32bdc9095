"""A chat endpoint as a judge: any server that speaks OpenAI's protocol, asked in parallel."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.extras import library
from mdlm_probe.core.secrets import redacted, redacted_json, secrets_of
from mdlm_probe.core.threads import results
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs.executors.contract import Executor, Note
from mdlm_probe.runs.judges import chat_reply
from mdlm_probe.runs.judges.bounded_http import bounded_client
from mdlm_probe.runs.judges.judge_calls import BOTH, Call, Reply, Verdict
from mdlm_probe.runs.judges.judge_prompt import JudgePrompt

if TYPE_CHECKING:
    import openai

BACKOFF = (0.5, 8.0)
"""Seconds before an unreadable reply is asked for again, doubled each time, and the most."""

PAUSE = 60.0
"""Seconds between two tries that a server may ask for at most."""

GRACE = 1.0
"""Seconds more, so that the SDK's own limit comes first."""

CHECK_SECONDS = 10.0
"""How long the first check waits at most."""


@dataclass(frozen=True)
class Access:
    """How an endpoint is reached.

    Attributes:
        url: where, up to `/v1`; name and password in it are never recorded.
        key_env: the environment variable that holds the key; without one a dummy is sent.
        concurrency: calls on the way at once.
        timeout: seconds that a call may take.
        retries: how often a call is asked again.
        max_tokens: longest reply.
    """

    url: str
    key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 5
    max_tokens: int = 1024
    shown: str = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, say
            known = False
        if not known:
            raise ProbeError(
                f"--endpoint has '{_unsigned(self.url)}'",
                expected="a URL such as http://localhost:8000/v1",
                option="endpoint",
            )
        shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        object.__setattr__(self, "shown", shown.rstrip("/"))


def _unsigned(url: str) -> str:
    """A text that is no URL, without what may be a name and a password in it."""
    return "***" * ("@" in url) + url.rpartition("@")[2]


class EndpointJudge:
    """Asks a chat endpoint, in both orders, at temperature 0.

    Throttling, server errors, timeouts, cut connections and unreadable replies are asked again with
    back-off; what still fails is a failed reply, not an end.

    Args:
        name: the judge's name at the endpoint.
        access: how it is reached.
        prompt: what it reads.
    """

    orders = BOTH
    keeps_replies = True
    needs_prompts = True

    def __init__(self, name: str, access: Access, prompt: JudgePrompt) -> None:
        self.name, self._access, self.prompt = name, access, prompt
        told = {"by": "endpoint", "endpoint": access.shown, "max_tokens": access.max_tokens}
        self.config: dict[str, Any] = told
        self.facts: dict[str, Any] = {}
        self._plain = False
        self._key = os.environ.get(access.key_env) or "none"
        self._secrets = secrets_of(access.url, self._key if self._key != "none" else "")

    def caution(self, scorers: Mapping[str, str]) -> str:
        """Nothing."""
        return ""

    def check(self, prompts: Sequence[Text]) -> None:
        """Any prompt will do."""

    def open(self, note: Note, executor: Executor) -> Sequence[dict[str, Any]]:
        """Makes the client, and checks once that the endpoint answers."""
        openai: Any = library("openai", "a judge at an endpoint", option="endpoint")
        self._client = openai.OpenAI(
            base_url=self._access.url,
            api_key=self._key,
            timeout=self._access.timeout,
            max_retries=self._access.retries,
            default_headers={"Accept-Encoding": "identity"},
            http_client=bounded_client(self._access.timeout),
        )
        try:
            list(results(self._check, [self._client], at_once=1, name="judge-check"))
        except BaseException:
            self._client.close()
            raise
        return ()

    def _check(self, client: openai.OpenAI) -> None:
        """Asks once whether somebody is there."""
        import openai

        seconds = min(self._access.timeout, CHECK_SECONDS)
        quick = client.with_options(max_retries=1, timeout=seconds)
        try:
            try:
                quick.models.with_raw_response.list()
            except openai.AuthenticationError:
                raise
            except openai.APIError:  # not every server lists its models; some break off there
                messages = [{"role": "user", "content": "A"}]
                patient = quick.with_options(timeout=self._access.timeout)
                self._create(patient, messages, max_tokens=1)  # the model may have to load first
        except (openai.BadRequestError, openai.UnprocessableEntityError, openai.RateLimitError):
            return  # somebody is there
        except openai.APIConnectionError as error:
            raise self._down(str(error.__cause__ or error)) from error
        except openai.APIStatusError as error:
            raise self._fatal(error) or self._down(self._said_by(error)) from error

    def ask(self, calls: Sequence[Call]) -> Generator[tuple[Call, Reply], None, None]:
        """Replies as they come.

        Raises:
            ProbeError: the endpoint refuses the key, or doesn't know the judge.
        """
        try:
            yield from results(self._reply, calls, at_once=self._access.concurrency, name="judge")
        finally:
            self._client.close()  # and with it calls that are still on the way

    def read(self, reply: Reply) -> Verdict:
        """The mark that the reply ends in; refusals and replies without one are said to be that."""
        return chat_reply.verdict_of(reply["response"], self.prompt)

    def _reply(self, call: Call) -> Reply:
        """A call's reply, read as far as to know that it is one; or why there is none.

        Raises:
            ProbeError: for what no other call would fare better with.
        """
        import openai

        messages = self.prompt.messages(call.pair.asked, *call.texts)
        first, most = BACKOFF
        for attempt in range(self._access.retries + 1):
            if attempt:
                time.sleep(min(first * 2 ** (attempt - 1), most))
            try:
                raw = self._in_time(messages)
                return {"response": redacted_json(chat_reply.parsed(raw), self._secrets)}
            except TimeoutError as error:
                return {"failed": str(error)}
            except ValueError as error:
                reason = str(error)
            except openai.APIConnectionError as error:  # the SDK has asked again already
                return {"failed": self._short(f"{error} {error.__cause__ or ''}")}
            except openai.APIStatusError as error:
                if error.code == "content_filter":
                    return {"response": {"blocked": self._said_by(error)}}
                if fatal := self._fatal(error):
                    raise fatal from error
                return {"failed": self._said_by(error)}
            except openai.OpenAIError as error:
                return {"failed": self._short(str(error))}
        return {"failed": self._short(reason)}

    def _short(self, text: str) -> str:
        """What goes into an error or a row: a line, without the key or a password."""
        return chat_reply.short(redacted(text, self._secrets))

    def _said_by(self, error: openai.APIStatusError) -> str:
        """What a server said, in short."""
        return self._short(f"HTTP {error.status_code}: {error.message}")

    def _in_time(self, messages: Any) -> str:
        """A reply, or an end to waiting: the SDK's own limit starts anew with every byte."""
        access = self._access
        longest = access.timeout * (access.retries + 1) + PAUSE * access.retries + GRACE
        ask = partial(self._create, self._client, max_tokens=access.max_tokens)
        try:
            ((_, reply),) = results(ask, [messages], at_once=1, name="judge-call", seconds=longest)
        except TimeoutError:
            raise TimeoutError(f"no whole reply in {longest:.0f} s") from None
        return reply

    def _create(self, client: openai.OpenAI, messages: Any, max_tokens: int) -> str:
        """The raw text of a reply."""
        import openai

        ask = client.chat.completions.with_raw_response.create
        try:
            if not self._plain:
                return ask(
                    model=self.name, messages=messages, temperature=0, max_tokens=max_tokens
                ).text
        except openai.BadRequestError as error:
            if not any(name in error.message for name in ("max_tokens", "temperature")):
                raise
            self._plain = True  # reasoning models have a limit of another name, and no temperature
        return ask(model=self.name, messages=messages, max_completion_tokens=max_tokens).text

    def _fatal(self, error: openai.APIStatusError) -> ProbeError | None:
        """The end of all calls: a key that isn't let in, or a judge that isn't there."""
        shown, env = self._access.shown, self._access.key_env
        if error.status_code in (401, 403):
            return ProbeError(
                f"{shown} refuses the key: {self._said_by(error)}",
                expected=f"a key that is let in, in the environment variable {env}",
                hint=f"export {env}=..., or name another with --api-key-env",
            )
        if error.status_code == 404:
            return ProbeError(
                f"{shown} has no judge '{self.name}': {self._said_by(error)}",
                expected="a URL up to /v1, and a model that is served there",
                hint="check --endpoint and --judge",
            )
        return None

    def _down(self, reason: str) -> ProbeError:
        return ProbeError(
            f"no judge answers at {self._access.shown}: {self._short(reason)}",
            expected="a server that speaks OpenAI's chat protocol",
            hint="start it, or check --endpoint; nothing was asked yet",
        )
