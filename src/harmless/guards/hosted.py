"""What guards behind a hosted API share: keys, concurrency, retries, and verdicts from categories.

A request that fails leaves its exchanges unassessed with the cause. Keys come from the environment and are in
no message. Texts leave the machine.
"""

from __future__ import annotations

import logging
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import anyio
import stamina
import yaml

from harmless import taxonomy
from harmless.core import Exchange, Finding, GuardInfo, Outcome, ReplyStatus, Verdict, digest
from harmless.core.model import Model
from harmless.errors import UsageError
from harmless.targets.connection import Connection
from harmless.targets.patience import Backoff, Patience, RequestFailedError, http_failure, redact

# Without a handler, stamina's notes on each retry would go to standard error, into the progress display.
logging.getLogger("stamina").addHandler(logging.NullHandler())

LEVEL = 0.5
_BELOW = math.nextafter(LEVEL, 0.0)


class Service(Model):
    """One entry of ``hosted.yaml``, which explains the fields."""

    name: str
    key: str = ""
    endpoint: str = ""
    url: str = ""
    model: str = ""
    version: str = ""
    taxonomy: str = ""
    severest: int = 1
    hazards: Mapping[str, str | None]
    topics: tuple[str, ...] = ()
    unit: int = 0
    least: int = 1
    usd: float | None = None

    def hazard(self, code: str) -> str | None:
        """Return the hazard of a code, None if it is of none or unknown."""
        if code in self.hazards or "*" in self.hazards:
            return self.hazards.get(code, self.hazards.get("*"))
        if not self.taxonomy or code not in {each.code for each in taxonomy.taxonomy(self.taxonomy).codes}:
            return None
        return next(iter(taxonomy.crosswalk(self.taxonomy).back(code, taxonomy.INSIDE)), None)

    def covered(self) -> tuple[str, ...]:
        """Return all hazards that its codes lead to, sorted."""
        codes = [each.code for each in taxonomy.taxonomy(self.taxonomy).codes] if self.taxonomy else []
        found = {self.hazard(code) for code in (*codes, *self.hazards)}
        return tuple(sorted(hazard for hazard in found if hazard))

    def cost(self, text: str) -> float | None:
        """Return the list price of one judgement in US dollars, None if unknown."""
        if self.usd is None or not self.unit:
            return self.usd
        return max(self.least, math.ceil(len(text) / self.unit)) * self.usd

    def secret(self) -> str:
        """Return the key; UsageError if its environment variable is not set."""
        return from_environment(self.key, self.name)


@dataclass(frozen=True)
class Limits:
    """How a service is asked: seconds a request may take, requests at once, exchanges in one, and patience."""

    timeout_s: float = 30.0
    concurrency: int = 8
    per_call: int = 1
    patience: Patience = field(default_factory=lambda: Patience(tries=4, total_s=90.0))


class Hosted(ABC):
    """A guard behind an API.

    Args:
        service: what is known of it.
        limits: how it is asked.
        settings: what else decides its verdicts; part of the revision.
        secret: the key, only to keep it out of messages.
    """

    def __init__(self, service: Service, limits: Limits, settings: Sequence[str], secret: str = "") -> None:
        self.service, self.limits, self._secret = service, limits, secret
        self._info = GuardInfo(
            name=service.name if not settings else f"{service.name}({', '.join(settings)})",
            revision=digest(service, list(settings)),
            sees="both",
            threshold=LEVEL,
            hazards=service.covered(),
            needs=(service.key,) if service.key else (),
            leaves_machine=True,
            batch_size=limits.per_call * limits.concurrency,
        )
        self._free = anyio.CapacityLimiter(limits.concurrency)

    @property
    def info(self) -> GuardInfo:
        """Name, revision (a provider may change its model without notice) and hazards."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; what could not be asked is unassessed with its cause."""
        verdicts: list[Verdict] = [Verdict.unassessed("no text to judge")] * len(exchanges)
        asked = [i for i, exchange in enumerate(exchanges) if text_of(exchange).strip()]
        step = self.limits.per_call

        async def ask(places: Sequence[int]) -> None:
            found = await self._judge([exchanges[i] for i in places])
            for i, verdict in zip(places, found, strict=True):
                verdicts[i] = verdict

        async with anyio.create_task_group() as tasks:
            for start in range(0, len(asked), step):
                tasks.start_soon(ask, asked[start : start + step])
        return verdicts

    async def aclose(self) -> None:  # noqa: B027 - not every client holds something
        """Close the connections."""

    @abstractmethod
    async def ask(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return the verdicts of one request.

        Raises:
            RequestFailedError: the request failed.
            Exception: of any other kind, the answer holds no verdicts.
        """

    async def _judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        started = time.perf_counter()
        try:
            async with self._free:
                found = await self._persist(exchanges)
        except RequestFailedError as failure:
            if len(exchanges) > 1 and _may_be_of_one(failure):
                return [(await self._judge([exchange]))[0] for exchange in exchanges]
            found = [Verdict.unassessed(f"{self.service.name}: {failure.cause}") for _ in exchanges]
        took = time.perf_counter() - started
        return [verdict.model_copy(update={"latency_s": took}) for verdict in found]

    async def _persist(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Ask until there are verdicts or patience ends."""
        patience = self.limits.patience
        async for attempt in stamina.retry_context(
            on=Backoff(patience),
            attempts=patience.tries,
            timeout=patience.total_s,
            wait_initial=patience.first_wait_s,
            wait_max=patience.longest_wait_s,
            wait_jitter=patience.jitter_s,
        ):
            with attempt:
                return await self._once(exchanges)
        raise AssertionError("a retry context ends with an answer or an exception")

    async def _once(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        try:
            with anyio.fail_after(self.limits.timeout_s):
                found = await self.ask(exchanges)
        except RequestFailedError as failure:
            raise RequestFailedError(
                self.redact(failure.cause), failure.status, passing=failure.passing, wait_s=failure.wait_s
            ) from None
        except TimeoutError:
            cause = f"timeout: no answer within {self.limits.timeout_s:g} s"
            raise RequestFailedError(cause, passing=True) from None
        except Exception as error:
            cause = self.redact(f"answer holds no verdict: {type(error).__name__}: {error}")
            raise RequestFailedError(cause, ReplyStatus.MALFORMED) from None
        if len(found) != len(exchanges):
            cause = f"{len(found)} results for {len(exchanges)} texts"
            raise RequestFailedError(cause, ReplyStatus.MALFORMED)
        return found

    def redact(self, text: str) -> str:
        """Return a text as one line without the key or what looks like one."""
        return redact(text, self._secret or None)

    def verdict(
        self, text: str, scores: Mapping[str, Any], flagged: Collection[str] | None = None, more: float = 0.0
    ) -> Verdict:
        """Return the verdict of scores by category.

        Args:
            text: what was judged, for its price.
            scores: 0 to 1 by code, kept as labels.
            flagged: the codes that the service itself flags; None lets those from 0.5 on count. Where its flags
                contradict the highest score, the score is moved to their side of 0.5.
            more: a score of the whole beside the categories.

        Raises:
            ValueError: there is no score, or one is not between 0 and 1.
        """
        labels = {str(code): float(score) for code, score in scores.items()}
        if not labels or not all(0 <= score <= 1 for score in labels.values()):
            raise ValueError("no scores between 0 and 1")
        counted = {code: score for code, score in labels.items() if code not in self.service.topics}
        raised = (
            {code for code, score in counted.items() if score >= LEVEL} if flagged is None else set(flagged)
        )
        raised -= set(self.service.topics)
        score = max([*counted.values(), more], default=more)
        unsafe = bool(raised) or (flagged is None and more >= LEVEL)
        named = sorted(raised, key=lambda code: -counted.get(code, 0.0))
        return Verdict(
            outcome=Outcome.UNSAFE if unsafe else Outcome.SAFE,
            score=max(score, LEVEL) if unsafe else min(score, _BELOW),
            findings=tuple(
                Finding(hazard=self.service.hazard(code), rule=code, score=counted.get(code, 1.0))
                for code in named
            ),
            labels=labels,
            reason=f"flagged {', '.join(named)}" if named else f"highest category score {score:.2f}",
            cost_usd=self.service.cost(text),
        )


class HttpHosted(Hosted):
    """A guard behind an API for which there is no client: JSON over HTTP."""

    def __init__(self, service: Service, limits: Limits, settings: Sequence[str], secret: str = "") -> None:
        super().__init__(service, limits, settings, secret)
        import httpx2

        # The whole request has a limit, see Limits.
        self._connection = Connection(lambda: httpx2.AsyncClient(timeout=None))

    async def post(self, url: str, headers: Mapping[str, str] | None = None, **body: Any) -> Any:
        """Send a request (``json=`` or ``data=``) and return the JSON of its answer."""
        import httpx2

        client = await self._connection.here()
        try:
            response = await client.post(url, headers=dict(headers or {}), **body)
        except httpx2.HTTPError as error:
            cause = f"connection failed: {error or type(error).__name__}"
            raise RequestFailedError(cause, passing=True) from None
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.status_code >= 400:
            detail, code = detail_of(answer)
            raise http_failure(response.status_code, response.headers, self.redact(detail), code)
        if answer is None:
            raise RequestFailedError("answer is not JSON", ReplyStatus.MALFORMED, passing=True)
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()


def _may_be_of_one(failure: RequestFailedError) -> bool:
    """Return whether one of several texts may be the reason why a request failed."""
    if failure.status in (ReplyStatus.MALFORMED, ReplyStatus.FILTERED):
        return not failure.passing
    return failure.cause.startswith(("http 400", "http 413", "http 422", "context overflow"))


@cache
def service(name: str) -> Service:
    """Return what is known of a service."""
    text = resources.files(__package__).joinpath("hosted.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return Service(name=name, **{key: str(v) if key == "version" else v for key, v in entries[name].items()})


def from_environment(variable: str, name: str) -> str:
    """Return the value of an environment variable; UsageError if it is not set."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UsageError(f"Guard '{name}' needs the environment variable {variable}.", f"Set {variable}.")
    return value


def text_of(exchange: Exchange) -> str:
    """Return what is judged: the reply if there is one, else the prompt."""
    return exchange.prompt if exchange.reply is None else exchange.reply


def pieces(text: str, most: int, size: Callable[[str], int] = len) -> Iterator[tuple[int, str]]:
    """Yield (start, piece) of at most ``most`` by ``size``, cut behind a sentence or a word if possible."""
    start = 0
    while start < len(text):
        end = min(len(text), start + most)
        while (measured := size(text[start:end])) > most:
            end = start + max(1, (end - start) * most // measured)
        if end < len(text):
            half = start + (end - start) // 2
            cuts = (max(text.rfind(mark, half, end) for mark in marks) for marks in (".!?\n", " "))
            end = next((cut + 1 for cut in cuts if cut >= 0), end)
        yield start, text[start:end]
        start = end


def detail_of(answer: Any) -> tuple[str, str]:
    """Return message and code of an error's body of any of the usual forms."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    if not isinstance(error, dict):
        return (error if isinstance(error, str) else ""), ""
    message = error.get("message") or error.get("detail") or ""
    return str(message), " ".join(str(error[name]) for name in ("code", "type", "status") if error.get(name))
