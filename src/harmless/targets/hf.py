"""``hf:PATH``: a chat model run in this process by transformers (extra ``hf``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync

from harmless.core import Conversation, Reply, Sampling, TargetInfo, Usage
from harmless.core.completion import Completion, ModelInput, Token
from harmless.core.lines import lines
from harmless.errors import UnreachableError, UsageError
from harmless.internals.model import LocalModel, first_line
from harmless.targets.local import open_model
from harmless.targets.options import TargetOptions
from harmless.targets.speech import spoken

#: Conversations in one call of the model.
BATCH = 8


class HfTarget:
    """Answers with a causal language model of transformers and its own chat template.

    Greedy replies may differ in rare ties with what else is in the batch; sampled ones do depend on it, as
    one seed serves a whole batch.

    Args:
        local: the model.
        batch_size: conversations in one call of the model.
        context: tokens of one conversation with its reply; None asks the model's configuration.
    """

    def __init__(self, local: LocalModel, *, batch_size: int, context: int | None) -> None:
        self._model, self._tokenizer = local.model, local.tokenizer
        self._tokenizer.padding_side = "left"
        self._context = context or local.context
        self._info = TargetInfo(
            name=f"hf:{local.name}",
            revision=local.revision,
            context_length=self._context,
            batch_size=batch_size,
            white_box=True,
        )
        self._turn = anyio.CapacityLimiter(1)

    @classmethod
    def of(cls, local: LocalModel, options: TargetOptions) -> HfTarget:
        """Return the target that runs ``local`` as ``options`` say."""
        size = options.slots or options.concurrency or BATCH
        return cls(local, batch_size=size, context=options.context)

    @property
    def info(self) -> TargetInfo:
        """Name, revision and limits."""
        return self._info

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply a conversation, in order; what does not fit the context is an error."""
        prompts = [partial(self._prompt, each, sampling) for each in conversations]
        return await run_sync(self._reply, prompts, sampling, limiter=self._turn)

    async def complete(
        self, inputs: Sequence[ModelInput], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        """Return one completion an input, in order; see :class:`CompletionTarget`."""
        prompts = [partial(self._exact, each) for each in inputs]
        replies = await run_sync(self._reply, prompts, sampling, top_logprobs, limiter=self._turn)
        return [Completion.of(reply) for reply in replies]

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        """Return the log-probability of each token of each continuation; see :class:`LogProbTarget`."""
        try:
            return await run_sync(self._score, conversation, continuations, limiter=self._turn)
        except (RuntimeError, ValueError) as error:
            raise UnreachableError(f"The model cannot score it: {first_line(error)}.") from None

    async def aclose(self) -> None:
        """Give back the model and its memory."""
        self._model = None

    def _reply(
        self, makers: Sequence[Callable[[], list[int]]], sampling: Sampling, top: int = 0
    ) -> list[Reply]:
        replies: dict[int, Reply] = {}
        prompts: dict[int, list[int]] = {}
        for i, make in enumerate(makers):
            try:
                prompts[i] = make()
            except ValueError as error:
                replies[i] = Reply.error(str(error))
        for batch in self._batches(prompts, sampling):
            try:
                answers = self._generate([prompts[i] for i in batch], sampling, top)
            except RuntimeError as error:  # torch's out-of-memory errors are of this kind
                answers = [Reply.error(first_line(error))] * len(batch)
            replies |= zip(batch, answers, strict=True)
        return [replies[i] for i in range(len(makers))]

    def _score(self, conversation: Conversation, continuations: Sequence[str]) -> list[list[float]]:
        import torch

        before = self._prompt(conversation, Sampling()) if conversation else self._tokens("\n")
        found = []
        for text in continuations:
            after = self._tokens(text)
            if self._context and len(before) + len(after) > self._context:
                raise ValueError(f"context overflow: {len(before) + len(after)} tokens")
            tokens = torch.tensor([before + after], device=self._model.device)
            with torch.inference_mode():
                logits = self._model(tokens[:, :-1]).logits[0, len(before) - 1 :].float()
            every = torch.log_softmax(logits, dim=-1)
            found.append(every.gather(1, tokens[0, len(before) :, None])[:, 0].tolist())
        return found

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def _prompt(self, conversation: Conversation, sampling: Sampling) -> list[int]:
        """Return the tokens of a conversation; ValueError if they do not fit or the template refuses it."""
        said = lines(conversation, sampling)
        # A reply that is begun is gone on with; an exact input may have its own reasons to end with one.
        begun = said[-1]["role"] == "assistant"
        return self._templated(said, {"continue_final_message": True} if begun else {})

    def _exact(self, asked: ModelInput) -> list[int]:
        """Return the tokens of an exact input; ValueError as for a conversation."""
        if asked.text is None:
            return self._templated([dict(each) for each in asked.messages], asked.template)
        asked.text.encode()
        return self._fitting(self._tokenizer(asked.text)["input_ids"])

    def _templated(self, messages: list[Any], further: Mapping[str, Any]) -> list[int]:
        from jinja2 import TemplateError

        try:
            asks = {"add_generation_prompt": "continue_final_message" not in further}
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, **(asks | dict(further)))
        except (TemplateError, TypeError) as error:  # a template that wants text gets parts, or the other way
            raise ValueError(f"the chat template refuses the conversation: {error}") from None
        return self._fitting(self._tokens(text))

    def _fitting(self, tokens: list[int]) -> list[int]:
        if self._context and len(tokens) >= self._context:
            raise ValueError(f"context overflow: {len(tokens)} tokens, the context holds {self._context}")
        return tokens

    def _batches(self, prompts: dict[int, list[int]], sampling: Sampling) -> Iterator[list[int]]:
        """Yield indices to ask together; a prompt that leaves less than ``max_tokens`` of room goes alone."""
        room = (self._context or 1 << 60) - sampling.max_tokens
        together = [i for i, tokens in prompts.items() if len(tokens) <= room]
        size = self._info.batch_size
        yield from (together[start : start + size] for start in range(0, len(together), size))
        yield from ([i] for i, tokens in prompts.items() if len(tokens) > room)

    def _generate(self, prompts: list[list[int]], sampling: Sampling, top: int) -> list[Reply]:
        import torch

        if self._model is None:
            raise RuntimeError("the target is closed")
        started = time.perf_counter()
        inputs = self._tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self._model.device)
        width = inputs["input_ids"].shape[1]
        room = (self._context or 1 << 60) - width
        if sampling.temperature > 0:
            torch.manual_seed(sampling.seed)
        with torch.inference_mode():
            made = self._model.generate(
                **inputs,
                **_decoding(sampling),
                max_new_tokens=min(sampling.max_tokens, room),
                stop_strings=list(sampling.stop) or None,
                tokenizer=self._tokenizer,
                pad_token_id=self._tokenizer.pad_token_id,
                return_dict_in_generate=True,
                output_logits=top > 0,
            )
        latency_s = time.perf_counter() - started
        rows = zip(prompts, made.sequences[:, width:].tolist(), strict=True)
        replies = [self._understand(prompt, tokens, sampling, latency_s) for prompt, tokens in rows]
        if not top:
            return replies
        chosen = made.sequences[:, width:]
        return [
            Completion.of(reply, self._likely(made.logits, chosen, i, (reply.usage.completion_tokens, top)))
            for i, reply in enumerate(replies)
        ]

    def _likely(self, logits: Any, chosen: Any, row: int, counts: tuple[int, int]) -> list[Token]:
        """Return the tokens of one row, with the most likely ones in their places; ``counts`` of both."""
        tokens = []
        for place in range(counts[0]):
            every = logits[place][row].float().log_softmax(dim=-1)
            best = every.topk(min(counts[1], every.shape[-1]))
            texts = [self._tokenizer.decode([token]) for token in best.indices.tolist()]
            token = int(chosen[row, place])
            tokens.append(
                Token(
                    text=self._tokenizer.decode([token]),
                    logprob=float(every[token]),
                    top=tuple(zip(texts, best.values.tolist(), strict=True)),
                )
            )
        return tokens

    def _understand(self, prompt: list[int], tokens: list[int], sampling: Sampling, latency_s: float) -> Reply:
        ends = self._model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        count = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
        text = self._tokenizer.decode(tokens[:count], skip_special_tokens=True)
        stop = min((at for word in sampling.stop if (at := text.find(word)) >= 0), default=None)
        cut = ""
        if stop is None and count == len(tokens):
            full = count < sampling.max_tokens
            cut = "the context is full" if full else f"limit of {sampling.max_tokens} tokens"
        usage = Usage(prompt_tokens=len(prompt), completion_tokens=count)
        return spoken(text[:stop], cut=cut, usage=usage, latency_s=latency_s)


def hf(argument: str, options: TargetOptions) -> HfTarget:
    """Return the target of a folder, a hub id, a GGUF file that transformers can read, or an adapter's folder.

    ``hf:embedded`` is the bundled model, run by torch. Raises what :func:`harmless.targets.local.open_model`
    raises.
    """
    if not argument:
        raise UsageError("'hf:' names no model.", "Write hf:FOLDER or hf:OWNER/NAME.")
    return HfTarget.of(open_model(argument, options.device), options)


def _decoding(sampling: Sampling) -> dict[str, Any]:
    """Return what decides the next token; None turns off what the model's own configuration may set."""
    if sampling.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
