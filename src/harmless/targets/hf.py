"""``hf:PATH``: a chat model run in this process by transformers (extra ``hf``)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from harmless.core import Conversation, Reply, Sampling, TargetInfo, Usage, digest
from harmless.core.completion import Completion, ModelInput, Token
from harmless.errors import BadFileError, MissingExtraError, UnreachableError, UsageError
from harmless.targets.options import TargetOptions
from harmless.targets.speech import lines, spoken

#: Conversations in one call of the model.
BATCH = 8

_WEIGHTS = ("*.json", "*.jinja", "*.safetensors", "*.bin", "*.model", "*.gguf")


class HfTarget:
    """Answers with a causal language model of transformers and its own chat template.

    Greedy replies may differ in rare ties with what else is in the batch; sampled ones do depend on it, as
    one seed serves a whole batch.

    Args:
        name, revision: its identity.
        loaded: a ``transformers`` model for causal language modelling on its device, and its tokenizer,
            which has a chat template.
        batch_size: conversations in one call of the model.
        context: tokens of one conversation with its reply; None asks the model's configuration.
    """

    def __init__(
        self, name: str, revision: str, loaded: tuple[Any, Any], *, batch_size: int, context: int | None
    ) -> None:
        self._model, self._tokenizer = loaded
        if not self._tokenizer.chat_template:
            raise UsageError(
                f"{name} has no chat template, so it is no chat model.",
                "Choose a model tuned for chat, or put a chat_template into its tokenizer_config.json.",
            )
        self._tokenizer.padding_side = "left"
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._context = context or getattr(self._model.config, "max_position_embeddings", None)
        self._info = TargetInfo(
            name=name,
            revision=revision,
            context_length=self._context,
            batch_size=batch_size,
            white_box=True,
        )
        self._turn = anyio.CapacityLimiter(1)

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
            raise UnreachableError(f"The model cannot score it: {_first_line(error)}.") from None

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
                answers = [Reply.error(_first_line(error))] * len(batch)
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
        return self._templated(lines(conversation, sampling), {})

    def _exact(self, asked: ModelInput) -> list[int]:
        """Return the tokens of an exact input; ValueError as for a conversation."""
        if asked.text is None:
            return self._templated([dict(each) for each in asked.messages], asked.template)
        asked.text.encode()
        return self._fitting(self._tokenizer(asked.text)["input_ids"])

    def _templated(self, messages: list[Any], further: Mapping[str, Any]) -> list[int]:
        from jinja2 import TemplateError

        try:
            text = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **further
            )
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
    """Return the target of a folder, a hub id, or a GGUF file that transformers can read.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        BadFileError: the folder or file is not a model.
        UnreachableError: the hub could not be reached and the model is not in its cache.
    """
    if not argument:
        raise UsageError("'hf:' names no model.", "Write hf:FOLDER or hf:OWNER/NAME.")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError("Target 'hf'", "hf") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    device = _device(options.device, torch.cuda.is_available())
    model, tokenizer = _load(argument, transformers, torch.float32 if device == "cpu" else "auto")
    path, commit = Path(argument), getattr(model.config, "_commit_hash", None)
    weights = _digest(path) if path.exists() else commit or "unknown"
    revision = digest(weights, version("transformers"), version("torch"), device.partition(":")[0])
    return HfTarget(
        f"hf:{path.name if path.exists() else argument}",
        revision,
        (model.to(device).eval(), tokenizer),
        batch_size=options.slots or options.concurrency or BATCH,
        context=options.context,
    )


def _device(wanted: str | None, cuda: bool) -> str:
    if wanted in (None, "gpu"):
        return "cuda" if cuda else "cpu"
    return str(wanted)


def _load(argument: str, transformers: Any, dtype: Any) -> tuple[Any, Any]:
    path = Path(argument)
    where, further = argument, {}
    if path.suffix == ".gguf":
        where, further = str(path.parent), {"gguf_file": path.name}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, **further)
        model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **further)
    except (OSError, ValueError, ImportError) as error:
        detail = _first_line(error)
        if path.exists() or argument.count("/") != 1 or path.suffix == ".gguf":
            raise BadFileError(
                path, f"transformers cannot load it: {detail}", next_step="Give a model folder or a hub id."
            ) from error
        raise UnreachableError(
            f"The model {argument} cannot be fetched: {detail}",
            "Check the name and the network, or give a folder.",
        ) from error
    return model, tokenizer


def _decoding(sampling: Sampling) -> dict[str, Any]:
    """Return what decides the next token; None turns off what the model's own configuration may set."""
    if sampling.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]


def _digest(path: Path) -> str:
    """Return the SHA-256 over the model's files, in hex; about a second a gigabyte."""
    files = [path] if path.is_file() else sorted({f for kind in _WEIGHTS for f in path.glob(kind)})
    total = hashlib.sha256()
    for each in files:
        with each.open("rb") as file:
            total.update(f"{each.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
