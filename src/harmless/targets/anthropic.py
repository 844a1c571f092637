"""``anthropic:MODEL``: the Anthropic messages API, or any endpoint compatible with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from harmless.core import Conversation, Reply, ReplyStatus, Sampling, Usage
from harmless.core.lines import lines
from harmless.errors import UsageError
from harmless.targets.endpoint import Endpoint, check_url, key_of
from harmless.targets.options import TargetOptions
from harmless.targets.patience import Patience
from harmless.targets.speech import spoken

_CUT = {"max_tokens": "limit of tokens", "model_context_window_exceeded": "the context is full"}


class AnthropicTarget(Endpoint):
    """Answers through ``anthropic.AsyncAnthropic``; the API knows no seed."""

    path = "/v1/messages"
    optional: Mapping[str, str | None] = {"top_p": None, "temperature": None, "stop_sequences": None}

    def request(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        """Return the parameters of a message; what is at its default stays out."""
        said = lines(conversation, sampling)
        request: dict[str, Any] = {
            "model": self._model,
            "messages": [line for line in said if line["role"] != "system"],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
        }
        system = "\n\n".join(line["content"] for line in said if line["role"] == "system")
        if system:
            request["system"] = system
        if sampling.top_p < 1:
            request["top_p"] = sampling.top_p
        if sampling.stop:
            request["stop_sequences"] = list(sampling.stop)
        return request

    def understand(self, answer: Any) -> Reply:
        """Return the reply in a message."""
        blocks, counts = answer["content"], answer.get("usage") or {}
        usage = Usage(
            prompt_tokens=counts.get("input_tokens") or 0, completion_tokens=counts.get("output_tokens") or 0
        )
        finish = answer.get("stop_reason")
        if finish == "refusal":
            cause = "reply withheld by the provider's filter"
            return Reply(status=ReplyStatus.FILTERED, cause=cause, usage=usage)
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        return spoken(text, cut=_CUT.get(finish, ""), usage=usage)


def anthropic(argument: str, options: TargetOptions, patience: Patience | None = None) -> AnthropicTarget:
    """Return the target of a model behind the Anthropic API, or behind ``options.base_url``.

    Raises:
        UsageError: no model is named, the key is missing, or the address is not one.
    """
    if not argument:
        raise UsageError("'anthropic:' names no model.", "Write anthropic:MODEL.")
    base_url = check_url(options.base_url or os.environ.get("ANTHROPIC_BASE_URL") or None)
    key = key_of("ANTHROPIC_API_KEY", options, needed=base_url is None)
    import anthropic as sdk

    return AnthropicTarget(sdk, sdk.AsyncAnthropic, key, base_url, argument, options, patience)
