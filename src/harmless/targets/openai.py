"""``openai:MODEL``: the OpenAI chat completions API, or any endpoint compatible with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from harmless.core import Conversation, Reply, ReplyStatus, Sampling, Usage
from harmless.core.completion import Completion, ModelInput
from harmless.core.lines import lines
from harmless.errors import UsageError
from harmless.targets.endpoint import Call, Endpoint, check_url, key_of
from harmless.targets.logprobs import tokens_of
from harmless.targets.options import TargetOptions
from harmless.targets.patience import Patience
from harmless.targets.speech import spoken


class OpenAITarget(Endpoint):
    """Answers through ``openai.AsyncOpenAI``."""

    path = "/chat/completions"
    # Reasoning models want max_completion_tokens; most other servers know only max_tokens.
    optional: Mapping[str, str | None] = {
        "max_tokens": "max_completion_tokens",
        "top_p": None,
        "temperature": None,
        "seed": None,
        "stop": None,
        "top_logprobs": None,
        "logprobs": None,
    }

    def request(self, conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
        """Return the parameters of a chat completion; what is at its default stays out."""
        return {"messages": lines(conversation, sampling), **self._decoding(sampling)}

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

    async def complete(
        self, inputs: Sequence[ModelInput], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        """Return one completion an input, in order; see :class:`CompletionTarget`.

        Raw text goes to the completions endpoint; arguments of the chat template go as
        ``chat_template_kwargs``, which vLLM, SGLang and llama.cpp know.
        """
        replies = await self.ask([self._exact(each, sampling, top_logprobs) for each in inputs])
        return [Completion.of(reply) for reply in replies]

    def _exact(self, asked: ModelInput, sampling: Sampling, top: int) -> Call:
        if asked.text is not None:
            request = {"prompt": asked.text, **self._decoding(sampling)}
            request |= {"logprobs": top} if top else {}
            return Call("/completions", partial(_sendable, request), self._understand_text)
        request = {"messages": [dict(each) for each in asked.messages], **self._decoding(sampling)}
        request |= {"logprobs": True, "top_logprobs": top} if top else {}
        if asked.template:
            request["chat_template_kwargs"] = dict(asked.template)
        return Call(self.path, partial(_sendable, request), self._understand_exact)

    def _understand_exact(self, answer: Any) -> Reply:
        return Completion.of(self.understand(answer), tokens_of(answer["choices"][0]))

    def _understand_text(self, answer: Any) -> Reply:
        choice = {**answer["choices"][0]}
        choice["message"] = {"content": choice["text"]}
        return self._understand_exact({**answer, "choices": [choice]})

    def _decoding(self, sampling: Sampling) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "seed": sampling.seed,
        }
        if sampling.top_p < 1:
            request["top_p"] = sampling.top_p
        if sampling.stop:
            request["stop"] = list(sampling.stop)
        return request


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

    return OpenAITarget(sdk, sdk.AsyncOpenAI, key, base_url, argument, options, patience)


def _sendable(request: dict[str, Any]) -> dict[str, Any]:
    """Return the request; ValueError if it is not valid Unicode."""
    json.dumps(request, ensure_ascii=False).encode()
    return request


def _text(content: Any) -> str:
    """Return the text of a message, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content)
    return str(content or "")
