"""The model that is to be aligned, as a target that gives short greedy replies to many prompts quickly."""

from __future__ import annotations

import time
from collections.abc import Sequence

import anyio
from anyio.to_thread import run_sync

from harmless.align.network import TOGETHER, greedy
from harmless.core import Conversation, Reply, ReplyStatus, Sampling, TargetInfo, Usage
from harmless.errors import UsageError
from harmless.internals.chat import Encoded, encode
from harmless.internals.model import LocalModel, first_line

#: Conversations in one call.
BATCH = TOGETHER


class Speaker:
    """Answers with packed batches, which share the words that the chat template puts before all prompts.

    Several times as fast as one prompt at a time for the first tokens of a reply, which is what alignment
    holds a model to; for long replies other targets are better.
    """

    def __init__(self, local: LocalModel) -> None:
        self._local = local
        self._turn = anyio.CapacityLimiter(1)

    @property
    def info(self) -> TargetInfo:
        """Name, revision and limits."""
        local = self._local
        return TargetInfo(
            name=local.name,
            revision=local.revision,
            context_length=local.context,
            batch_size=BATCH,
            white_box=True,
        )

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply a conversation, in order; UsageError where replies are to be sampled."""
        if sampling.temperature:
            raise UsageError("Short replies are greedy.", "Use another target, or temperature 0.")
        replies: dict[int, Reply] = {}
        prompts: dict[int, Encoded] = {}
        for i, conversation in enumerate(conversations):
            try:
                prompts[i] = encode(self._local, conversation, system=sampling.system)
            except ValueError as error:
                replies[i] = Reply.error(str(error))
        try:
            spoken = await run_sync(self._speak, list(prompts.values()), sampling, limiter=self._turn)
        except RuntimeError as error:  # torch's out-of-memory errors are of this kind
            spoken = [Reply.error(first_line(error))] * len(prompts)
        replies |= zip(prompts, spoken, strict=True)
        return [replies[i] for i in range(len(conversations))]

    async def aclose(self) -> None:
        """Give back nothing: the model belongs to who opened it."""

    def _speak(self, prompts: Sequence[Encoded], sampling: Sampling) -> list[Reply]:
        began = time.perf_counter()
        found = greedy(self._local, [each.tokens for each in prompts], sampling.max_tokens)
        replies = []
        for prompt, tokens in zip(prompts, found, strict=True):
            text = self._local.tokenizer.decode(list(tokens), skip_special_tokens=True).strip()
            cut = len(tokens) == sampling.max_tokens
            status = ReplyStatus.TRUNCATED if cut else ReplyStatus.COMPLETE
            usage = Usage(prompt_tokens=len(prompt.tokens), completion_tokens=len(tokens))
            cause = f"limit of {sampling.max_tokens} tokens" if cut else ""
            replies.append(
                Reply(
                    status=status if text else ReplyStatus.EMPTY,
                    text=text,
                    usage=usage,
                    cause=cause,
                    latency_s=time.perf_counter() - began,
                )
            )
        return replies
