"""What the chat endpoints share: concurrency, retries, time limits, and causes without secrets."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import anyio
import stamina

from harmless.core import Conversation, Reply, ReplyStatus, Sampling, TargetInfo, Usage, digest
from harmless.core.addresses import without_credentials
from harmless.errors import UsageError
from harmless.targets.connection import Connection
from harmless.targets.options import TargetOptions
from harmless.targets.patience import Backoff, Patience, RequestFailedError, http_failure, redact

#: Conversations under way at once unless the options say otherwise.
CONCURRENCY = 8
#: Sent as the key to an endpoint of one's own that wants none.
NO_KEY = "none"

_REFUSES = re.compile(r"unsupported|not support|deprecat|cannot both|unknown|unrecognized", re.IGNORECASE)
_log = logging.getLogger(__name__)
# Without a handler, stamina's notes on each retry would go to standard error, into the progress display.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Call:
    """One question to an endpoint.

    Args:
        path: where the API takes it, without the base URL.
        request: makes the parameters; ValueError if it cannot be asked.
        understand: reads the reply in an answer; an exception of any of the usual kinds if it has none.
    """

    path: str
    request: Callable[[], dict[str, Any]]
    understand: Callable[[Any], Reply]


class Endpoint(ABC):
    """A model behind an HTTP API, asked through its official client.

    Args:
        sdk: the client's module; both clients are made by the same generator and name their errors alike.
        client: its asynchronous client.
        key: sent with each request.
        base_url: another address than the client's own, or None.
        model: name of the model.
        options: ``concurrency``, ``timeout_s`` and the prices are used.
        patience: how long one reply is tried for.
    """

    #: Where the API takes conversations, without the base URL.
    path: str
    #: Parameters that may be left out (None) or renamed when a model refuses them, in this order.
    optional: Mapping[str, str | None]

    def __init__(
        self,
        sdk: ModuleType,
        client: Callable[..., Any],
        key: str,
        base_url: str | None,
        model: str,
        options: TargetOptions,
        patience: Patience | None = None,
    ) -> None:
        self._sdk, self._key, self._model = sdk, key, model

        def made() -> Any:
            # A call through aiohttp takes half the processor time of one through httpx2.
            return client(
                api_key=key,
                base_url=base_url,
                timeout=options.timeout_s,
                max_retries=0,
                http_client=sdk.DefaultAioHttpClient(),
            )

        self._connection = Connection(made)
        self._address = str(self._connection.client.base_url)
        self._timeout_s, self._patience = options.timeout_s, patience or Patience()
        self._refused: set[str] = set()
        concurrency = options.concurrency or CONCURRENCY
        self._info = TargetInfo(
            name=f"{sdk.__name__}:{model}",
            revision=digest(self._address, model),
            concurrency=concurrency,
            priced=options.input_price is not None,
        )
        self._prices = (options.input_price, options.output_price)
        self._free = anyio.Semaphore(concurrency, fast_acquire=True)

    @property
    def info(self) -> TargetInfo:
        """Name, revision (a provider may change its model without notice) and concurrency."""
        return self._info

    @property
    def leaves_machine(self) -> bool:
        """Whether what is asked is sent to another machine."""
        return urlsplit(self._address).hostname not in ("localhost", "127.0.0.1", "::1")

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply a conversation, in order; a failure is a reply with its cause."""
        return await self.ask(
            [Call(self.path, partial(self.request, each, sampling), self.understand) for each in conversations]
        )

    async def ask(self, calls: Sequence[Call]) -> list[Reply]:
        """Return one reply a call, in order, with no more of them under way than the options allow."""
        if len(calls) == 1:
            async with self._free:
                return [await self._persist(calls[0])]
        replies: list[Reply | None] = [None] * len(calls)

        async def one(i: int) -> None:
            async with self._free:
                replies[i] = await self._persist(calls[i])

        async with anyio.create_task_group() as tasks:
            for i in range(len(calls)):
                tasks.start_soon(one, i)
        return [reply for reply in replies if reply is not None]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    @abstractmethod
    def request(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        """Return the parameters of a request; ValueError if the conversation cannot be asked."""

    @abstractmethod
    def understand(self, answer: Any) -> Reply:
        """Return the reply in an answer; an exception of any of the usual kinds if it has none."""

    async def _persist(self, call: Call) -> Reply:
        """Try until there is a reply or patience ends."""
        started = time.perf_counter()
        try:
            reply = await self._once(call)
        except RequestFailedError as failure:
            reply = await self._again(call, failure, self._patience.total_s - (time.perf_counter() - started))
        passed = time.perf_counter() - started
        return reply.model_copy(update={"latency_s": passed, "cost_usd": self._cost(reply.usage)})

    def _cost(self, usage: Usage) -> float | None:
        """Return the price of the tokens used in US dollars, None if it is not known."""
        sent, written = self._prices
        if sent is None or written is None:
            return None
        return (usage.prompt_tokens * sent + usage.completion_tokens * written) / 1e6

    async def _again(self, call: Call, failure: RequestFailedError, left_s: float) -> Reply:
        """Try on after the first failure; it is stamina's first try, whose cost a success is spared so."""
        patience, failures = self._patience, [failure]
        try:
            async for attempt in stamina.retry_context(
                on=Backoff(patience),
                attempts=patience.tries,
                timeout=max(left_s, 0.001),  # 0 is no limit
                wait_initial=patience.first_wait_s,
                wait_max=patience.longest_wait_s,
                wait_jitter=patience.jitter_s,
            ):
                with attempt:
                    if failures:
                        raise failures.pop()
                    reply = await self._once(call)
        except RequestFailedError as last:
            reply = Reply(status=last.status, cause=last.cause)
        return reply

    async def _once(self, call: Call) -> Reply:
        try:
            request = call.request()
        except ValueError as error:
            raise RequestFailedError(str(error)) from None
        while True:
            sent = self._accepted(request)
            try:
                with anyio.fail_after(self._timeout_s):
                    response = await self._send(call.path, sent)
            except self._sdk.APIStatusError as error:
                if self._learns(error, sent):
                    continue
                raise self._failure(error.response) from None
            except (TimeoutError, self._sdk.APITimeoutError) as error:
                if not _timed_out(error):
                    raise RequestFailedError(self._unreached(error), passing=True) from None
                raise RequestFailedError(
                    f"timeout: no reply within {self._timeout_s:g} s", passing=True
                ) from None
            except self._sdk.APIConnectionError as error:
                raise RequestFailedError(self._unreached(error), passing=True) from None
            except Exception as error:  # whatever a client raises, it is of this conversation only
                raise RequestFailedError(self._redact(f"{type(error).__name__}: {error}")) from None
            return self._read(call, response)

    async def _send(self, path: str, request: Mapping[str, Any]) -> Any:
        """Send a request through the client and return its HTTP response.

        The methods that the clients have for each kind of request walk through all parameters and parse the
        answer into models, which takes a third of the time of a call.
        """
        import httpx2

        client = await self._connection.here()
        return await client.post(path, cast_to=httpx2.Response, body=request)

    def _read(self, call: Call, response: Any) -> Reply:
        """Return the reply in a successful response, or raise RequestFailedError with status MALFORMED."""
        kind = response.headers.get("content-type", "nothing").partition(";")[0]
        if not kind.endswith("json"):
            raise RequestFailedError(f"answer is {kind}, not JSON", ReplyStatus.MALFORMED, passing=True)
        try:
            answer = json.loads(response.content)
        except ValueError:
            raise RequestFailedError("answer is invalid JSON", ReplyStatus.MALFORMED, passing=True) from None
        try:
            return call.understand(answer)
        except (LookupError, TypeError, AttributeError, ValueError):
            detail, _ = _detail(answer)
            cause = self._redact(f"answer holds no reply{': ' + detail if detail else ''}")
            raise RequestFailedError(cause, ReplyStatus.MALFORMED, passing=True) from None

    def _failure(self, response: Any) -> RequestFailedError:
        try:
            detail, code = _detail(json.loads(response.content))
        except ValueError:
            detail, code = "", ""
        return http_failure(response.status_code, response.headers, self._redact(detail), code)

    def _accepted(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the request without, or with other names for, what the model has refused."""
        names = {name: self.optional[name] if name in self._refused else name for name in request}
        return {new: request[old] for old, new in names.items() if new is not None}

    def _learns(self, error: Any, sent: Mapping[str, Any]) -> bool:
        """Return whether the model refuses a parameter that it can be asked without, and remember it."""
        if error.status_code not in (400, 422):
            return False
        detail, code = _detail(error.body)
        if not _REFUSES.search(detail + code):
            return False
        named = [name for name in self.optional if name in sent and re.search(rf"\b{name}\b", detail)]
        if not named:
            return False
        self._refused.add(named[0])
        _log.warning("%s does not take %s; it is asked without.", self._info.name, named[0])
        return True

    def _unreached(self, error: Exception) -> str:
        cause = error.__cause__ or error
        return self._redact(f"connection failed: {cause or type(cause).__name__}")

    def _redact(self, text: str) -> str:
        return redact(without_credentials(text), None if self._key == NO_KEY else self._key)


def _timed_out(error: BaseException) -> bool:
    """Return whether a time-out is one: a failed connection is called so by a client, but has another cause."""
    root = error
    while root.__cause__:
        root = root.__cause__
    return root is error or isinstance(root, TimeoutError)


def key_of(variable: str, options: TargetOptions, *, needed: bool) -> str:
    """Return the key of the environment variable that the options name, or ``variable``.

    Raises:
        UsageError: it is not set, and ``needed`` or named by the options.
    """
    name = options.api_key_env or variable
    key = os.environ.get(name, "").strip()
    if not key and (needed or options.api_key_env):
        raise UsageError(
            f"The environment variable {name} holds no key.",
            f"Set {name}, name another with --api-key-env, or give --base-url for an endpoint without keys.",
        )
    return key or NO_KEY


def check_url(url: str | None) -> str | None:
    """Return ``url``; UsageError unless it is None or an HTTP address."""
    if url is not None and not re.match(r"https?://[^/]", url):
        raise UsageError(
            f"'{url}' is not the address of an endpoint.", "Write http://HOST:PORT/v1 or https://..."
        )
    return url


def _detail(body: Any) -> tuple[str, str]:
    """Return message and code of an error body of any of the usual forms."""
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return (error if isinstance(error, str) else ""), ""
    message = error.get("message") or error.get("detail") or ""
    code = " ".join(str(error[name]) for name in ("code", "type") if error.get(name))
    return str(message), code
