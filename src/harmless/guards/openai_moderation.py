"""``openai_moderation``: OpenAI's moderation endpoint, through the official client."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from harmless.core import Exchange, Verdict
from harmless.guards.hosted import Hosted, Limits, Service, detail_of, service, text_of
from harmless.targets.connection import Connection
from harmless.targets.patience import RequestFailedError, http_failure

PER_CALL = 32


class OpenAIModeration(Hosted):
    """Judges one text by OpenAI's own flags; without its context, which the endpoint does not take."""

    def __init__(self, service: Service, model: str, limits: Limits, base_url: str | None = None) -> None:
        key = service.secret()
        super().__init__(service, limits, [model], key)
        import openai

        self._sdk, self._model = openai, model
        self._connection = Connection(
            lambda: openai.AsyncOpenAI(api_key=key, base_url=base_url, timeout=limits.timeout_s, max_retries=0)
        )

    async def ask(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Ask for one result a text."""
        texts = [text_of(exchange) for exchange in exchanges]
        answer = await self._send(texts)
        return [self._read(*each) for each in zip(texts, answer["results"], strict=True)]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    async def _send(self, texts: list[str]) -> Any:
        try:
            client = await self._connection.here()
            raw = await client.moderations.with_raw_response.create(model=self._model, input=texts)
        except self._sdk.APIStatusError as error:
            detail, code = detail_of(error.body)
            raise http_failure(error.status_code, error.response.headers, self.redact(detail), code) from None
        except self._sdk.APITimeoutError:
            raise TimeoutError from None
        except self._sdk.APIConnectionError as error:
            raise RequestFailedError(f"connection failed: {error.__cause__ or error}", passing=True) from None
        # The raw answer, since the client's types would let pass what is not of the schema.
        return json.loads(raw.http_response.content)

    def _read(self, text: str, result: Any) -> Verdict:
        # Old models score no `illicit` and say null.
        scores = {code: score for code, score in result["category_scores"].items() if score is not None}
        flagged = {code for code, raised in result["categories"].items() if raised}
        if result["flagged"] is not bool(flagged):
            raise ValueError("flags that contradict each other")
        return self.verdict(text, scores, flagged)


def openai_moderation(
    model: str = "", *, limits: Limits | None = None, base_url: str | None = None
) -> OpenAIModeration:
    """Return the guard; the key is in OPENAI_API_KEY.

    Args:
        model: another model than the latest.
        limits: how it is asked.
        base_url: another address than OpenAI's.

    Raises:
        UsageError: the key is missing.
    """
    known = service("openai_moderation")
    return OpenAIModeration(known, model or known.model, limits or Limits(per_call=PER_CALL), base_url)
