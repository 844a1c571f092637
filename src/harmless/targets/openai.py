"""``openai:MODEL``: the OpenAI chat completions API, or any endpoint compatible with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from harmless.core import Conversation, Reply, ReplyStatus, Sampling, Usage
from harmless.errors import UsageError
from harmless.targets.endpoint import Endpoint, check_url, key_of
from harmless.targets.options import TargetOptions
from harmless.targets.patience import Patience
from harmless.targets.speech import lines, spoken


class OpenAITarget(Endpoint):
    """Answers through ``openai.AsyncOpenAI``."""

    # Reasoning models want max_completion_tokens; most other servers know only max_tokens.
    optional: Mapping[str, str | None] = {
        "max_tokens": "max_completion_tokens",
        "top_p": None,
        "temperature": None,
        "seed": None,
        "stop": None,
    }

    def request(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        """Return the parameters of a chat completion; what is at its default stays out."""
        request: dict[str, Any] = {
            "model": self._model,
            "messages": lines(conversation, sampling),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
        }
        if sampling.top_p < 1:
            request["top_p"] = sampling.top_p
        if sampling.stop:
            request["stop"] = list(sampling.stop)
        return request

    async def send(self, request: Mapping[str, Any]) -> Any:
        """Ask for a chat completion."""
        return await self._client.chat.completions.with_raw_response.create(**request)

    def understand(self, answer: Any) -> Reply:
        """Return the reply in a chat completion."""
        choice, counts = answer["choices"][0], answer.get("usage") or {}
        usage = Usage(
            prompt_tokens=counts.get("prompt_tokens") or 0,
            completion_tokens=counts.get("completion_tokens") or 0,
        )
        message, finish = choice["message"], choice.get("finish_reason")
        if finish == "content_filter":
            cause = "reply withheld by the provider's filter"
            return Reply(status=ReplyStatus.FILTERED, cause=cause, usage=usage)
        text = _text(message.get("content")) or message.get("refusal") or ""
        return spoken(text, cut="limit of tokens" if finish == "length" else "", usage=usage)


def openai(argument: str, options: TargetOptions, patience: Patience | None = None) -> OpenAITarget:
    """Return the target of a model behind the OpenAI API, or behind ``options.base_url``.

    Raises:
        UsageError: no model is named, the key is missing, or the address is not one.
    """
    if not argument:
        raise UsageError("'openai:' names no model.", "Write openai:MODEL.")
    base_url = check_url(options.base_url or os.environ.get("OPENAI_BASE_URL") or None)
    key = key_of("OPENAI_API_KEY", options, needed=base_url is None)
    import openai as sdk

    client = sdk.AsyncOpenAI(api_key=key, base_url=base_url, timeout=options.timeout_s, max_retries=0)
    return OpenAITarget(sdk, client, argument, options, patience)


def _text(content: Any) -> str:
    """Return the text of a message, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return str(content or "")
