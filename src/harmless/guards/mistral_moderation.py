"""``mistral_moderation``: Mistral's moderation of chats, through the official client (extra ``hosted``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from harmless.core import Exchange, Verdict
from harmless.errors import MissingExtraError
from harmless.guards.hosted import Hosted, Limits, Service, detail_of, service, text_of
from harmless.targets.connection import Connection
from harmless.targets.patience import RequestFailedError, http_failure

PER_CALL = 16


class MistralModeration(Hosted):
    """Judges the last turn in its conversation by Mistral's own flags."""

    def __init__(self, service: Service, model: str, limits: Limits, server_url: str | None = None) -> None:
        key = service.secret()
        super().__init__(service, limits, [model], key)
        try:
            sdk, self._errors = import_module("mistralai.client"), import_module("mistralai.client.errors")
        except ImportError as error:
            raise MissingExtraError("Guard 'mistral_moderation'", "hosted") from error
        self._model = model
        timeout_ms = int(limits.timeout_s * 1000)
        self._connection = Connection(
            lambda: sdk.Mistral(api_key=key, server_url=server_url, timeout_ms=timeout_ms, retry_config=None)
        )

    async def ask(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Ask for one result a conversation."""
        answer = await self._send([_turns(exchange) for exchange in exchanges])
        results = answer.results
        return [self._read(text_of(each), result) for each, result in zip(exchanges, results, strict=True)]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    async def _send(self, chats: list[list[dict[str, str]]]) -> Any:
        import httpx2

        try:
            client = await self._connection.here()
            return await client.classifiers.moderate_chat_async(model=self._model, inputs=chats, retries=None)
        except self._errors.ResponseValidationError as error:
            raise ValueError(f"not of the schema: {error.message}") from None
        except self._errors.MistralError as error:
            if error.status_code < 400:
                raise ValueError("not JSON") from None
            detail, code = _detail(error)
            raise http_failure(error.status_code, error.headers, self.redact(detail), code) from None
        except httpx2.TimeoutException:
            raise TimeoutError from None
        except (httpx2.HTTPError, self._errors.NoResponseError) as error:
            cause = f"connection failed: {error or type(error).__name__}"
            raise RequestFailedError(cause, passing=True) from None

    def _read(self, text: str, result: Any) -> Verdict:
        flagged = {code for code, raised in result.categories.items() if raised}
        return self.verdict(text, result.category_scores, flagged)


def mistral_moderation(
    model: str = "", *, limits: Limits | None = None, server_url: str | None = None
) -> MistralModeration:
    """Return the guard; the key is in MISTRAL_API_KEY.

    Args:
        model: another model than ``mistral-moderation-2603``.
        limits: how it is asked.
        server_url: another address than Mistral's.

    Raises:
        UsageError: the key is missing.
        MissingExtraError: the client is not installed.
    """
    known = service("mistral_moderation")
    return MistralModeration(known, model or known.model, limits or Limits(per_call=PER_CALL), server_url)


def _turns(exchange: Exchange) -> list[dict[str, str]]:
    turns = [{"role": turn.role, "content": turn.content} for turn in exchange.conversation]
    if exchange.reply is not None:
        return [*turns, {"role": "assistant", "content": exchange.reply}]
    last = max(i for i, turn in enumerate(turns) if turn["role"] == "user")
    return turns[: last + 1]


def _detail(error: Any) -> tuple[str, str]:
    try:
        return detail_of(json.loads(error.body))
    except ValueError:
        return "", ""
