"""``embedded``: a GGUF model run in this process by llama.cpp, with many conversations at once."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync

from harmless.core import Conversation, Reply, Sampling, TargetInfo, Usage, digest
from harmless.core.completion import Completion, ModelInput
from harmless.core.lines import lines
from harmless.errors import BadFileError, UnreachableError, UsageError
from harmless.targets import models
from harmless.targets.adapters import adapted
from harmless.targets.logprobs import tokens_of
from harmless.targets.options import TargetOptions
from harmless.targets.speech import spoken

T = TypeVar("T")

#: Conversations at once; on 2 cores 32 are no faster and 8 are 5 % slower. Each costs 23 MB.
SLOTS = 16
#: Tokens of one conversation with its reply.
CONTEXT = 1024
#: Enough to tell compliance from refusal, and a few minutes for hundreds of prompts on 2 cores.
REPLY_TOKENS = 64
# Attention over 64 or more tokens of one conversation takes another path in ggml-cpu, with other rounding.
# Below that, a reply does not depend on what else is decoded at the same time (design/targets.md).
_TOKENS_AT_ONCE = 63
#: Added to a logit, it outweighs all others.
_DECIDING = 1000.0


class EmbeddedTarget:
    """Answers with a GGUF model; on a CPU, what is asked beside a conversation does not change its reply.

    Args:
        path: the GGUF file.
        name: its name in runs and reports.
        options: ``slots``, ``context`` and ``device`` are used.
        adapter: a LoRA adapter as GGUF that is put on the model.

    ``engine`` is the ``xllamacpp.Server``, None once closed.

    Raises:
        BadFileError: the file is missing, not GGUF, or cannot be loaded.
    """

    def __init__(self, path: Path, name: str, options: TargetOptions, adapter: Path | None = None) -> None:
        self._slots = options.slots or options.concurrency or SLOTS
        self._context = options.context or CONTEXT
        weights = [models.sha256(_gguf(each)) for each in (path, adapter) if each]
        revision = digest(*weights, version("xllamacpp"), self._context, self._slots == 1)
        self._info = TargetInfo(
            name=name,
            revision=revision,
            context_length=self._context,
            concurrency=self._slots,
            reply_tokens=REPLY_TOKENS,
        )
        self.engine: Any = _start((path, adapter), self._slots, self._context, options.device or "cpu")
        self._free = anyio.CapacityLimiter(self._slots)

    @property
    def info(self) -> TargetInfo:
        """Name, revision and limits; one conversation a call keeps every slot busy."""
        return self._info

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        """Return one reply a conversation, in order; what does not fit the context is an error."""
        return await self._each([partial(self._ask, each, sampling) for each in conversations])

    async def complete(
        self, inputs: Sequence[ModelInput], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        """Return one completion an input, in order; see :class:`CompletionTarget`."""
        return await self._each([partial(self._complete, each, sampling, top_logprobs) for each in inputs])

    async def _each(self, asks: Sequence[Callable[[], T]]) -> list[T]:
        """Return what each of ``asks`` returns, in order, with every slot busy."""
        found: dict[int, T] = {}

        async def one(i: int) -> None:
            found[i] = await run_sync(asks[i], limiter=self._free, abandon_on_cancel=True)

        async with anyio.create_task_group() as tasks:
            for i in range(len(asks)):
                tasks.start_soon(one, i)
        return [found[i] for i in range(len(asks))]

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        """Return the log-probability of each token of each continuation; see :class:`LogProbTarget`.

        The engine scores only what it generates, so it is made to generate each continuation.
        """
        found: list[list[float]] = [[] for _ in continuations]
        failures: list[UnreachableError] = []

        async def score(i: int) -> None:
            try:
                found[i] = await run_sync(self._score, conversation, continuations[i], limiter=self._free)
            except UnreachableError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for i in range(len(continuations)):
                tasks.start_soon(score, i)
        if failures:
            raise failures[0]
        return found

    async def aclose(self) -> None:
        """Give back the model and its memory."""
        self.engine = None

    def _ask(self, conversation: Conversation, sampling: Sampling) -> Reply:
        started, engine = time.perf_counter(), self.engine
        if engine is None:
            return Reply.error("the target is closed")
        try:
            answer = engine.handle_chat_completions(_request(conversation, sampling))
        except (RuntimeError, ValueError) as error:
            return Reply.error(_first_line(error), time.perf_counter() - started)
        return _understand(answer, sampling, time.perf_counter() - started)

    def _complete(self, asked: ModelInput, sampling: Sampling, top: int) -> Completion:
        started, engine = time.perf_counter(), self.engine
        if engine is None:
            return Completion.of(Reply.error("the target is closed"))
        try:
            answer = _answered(engine, asked, {**_decoding(sampling), **_scores(asked, top)})
        except (RuntimeError, ValueError) as error:
            return Completion.of(Reply.error(_first_line(error), time.perf_counter() - started))
        reply = _understand(answer, sampling, time.perf_counter() - started)
        return Completion.of(reply, tokens_of(answer["choices"][0]) if "choices" in answer else ())

    def _score(self, conversation: Conversation, text: str) -> list[float]:
        engine, request = self.engine, _forced(text)
        if engine is None:
            raise UnreachableError("The target is closed.")
        try:
            if conversation:
                answer = engine.handle_chat_completions(
                    {"messages": lines(conversation, Sampling()), "logprobs": True, **request}
                )
            else:
                answer = engine.handle_completions({"prompt": "\n", "logprobs": 1, **request})
        except (RuntimeError, ValueError) as error:
            raise UnreachableError(f"The engine cannot score it: {_first_line(error)}.") from None
        if "error" in answer:
            raise UnreachableError(f"The engine cannot score it: {_first_line(answer['error']['message'])}.")
        tokens = (answer["choices"][0].get("logprobs") or {}).get("content", [])
        said = b"".join(bytes(token["bytes"]) for token in tokens)
        if said != text.encode():
            raise UnreachableError("The engine cannot score it: the context is full.")
        return [token["logprob"] for token in tokens if token["bytes"]]  # the end of text has none


def embedded(argument: str, options: TargetOptions) -> EmbeddedTarget:
    """Return the target of the bundled model, of another known model, of a GGUF file, or of an aligned model.

    Raises:
        UsageError: the model is not on this machine.
        BadFileError: the file is missing, damaged, or not GGUF.
    """
    if Path(argument).is_dir() and argument:
        found = adapted(Path(argument))
        return EmbeddedTarget(found.model, f"embedded:{Path(argument).name}", options, found.adapter)
    if argument and argument not in models.known_models():
        return EmbeddedTarget(Path(argument), f"embedded:{Path(argument).name}", options)
    path = models.locate(argument or None)
    models.verify(path, models.known_model(argument or None))
    return EmbeddedTarget(path, f"embedded:{argument}" if argument else "embedded", options)


def _gguf(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise BadFileError(
            path,
            f"The model cannot be read: {error.strerror}.",
            next_step="Give a GGUF file, or 'embedded' for the bundled model.",
        ) from None
    if magic != b"GGUF":
        raise BadFileError(
            path, "This is not a GGUF file.", next_step="Convert it, or use hf:FOLDER for a transformers model."
        )
    return path


def _start(files: tuple[Path, Path | None], slots: int, context: int, device: str) -> Any:
    """Load a model and its adapter; everything that could reach the outside or grow without limit is off."""
    # Threads of ggml that spin while they wait make it ten times slower as soon as a core is shared.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xllamacpp
    except ImportError as error:
        raise UsageError(f"llama.cpp cannot be loaded: {error}.", "Run: pip install xllamacpp") from error
    with tempfile.TemporaryDirectory(prefix="harmless-") as private:
        params = xllamacpp.CommonParams()
        params.model.path = str(files[0])
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(each)) for each in files[1:] if each]
        params.n_parallel, params.n_ctx, params.n_ubatch = slots, slots * context, _TOKENS_AT_ONCE
        params.cpuparams_batch.n_threads = _threads()
        # A lone token over a long context is split over the threads, which rounds differently.
        params.cpuparams.n_threads = 1 if slots > 1 else _threads()
        params.n_gpu_layers = 0 if device == "cpu" else -1
        params.cache_ram_mib, params.warmup, params.verbosity = 0, False, -1
        params.endpoint_slots = False
        if os.name == "posix":
            # The engine insists on listening; a socket in a private folder that is gone at once is no door.
            params.hostnames = [str(Path(private) / "engine.sock")]
        try:
            engine = xllamacpp.Server(params)
            # Closing an engine whose loop does not run yet would wait for ever; one token shows that it runs.
            engine.handle_completions({"prompt": "\n", "max_tokens": 1})
            return engine
        except RuntimeError:
            raise BadFileError(
                files[0],
                "llama.cpp cannot load this model: damaged, of an unknown kind, or too large for the memory.",
                next_step="Fetch the file again, or give fewer slots or a shorter context.",
            ) from None


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= 4 else cores // 2


def _request(conversation: Conversation, sampling: Sampling) -> dict[str, Any]:
    return {"messages": lines(conversation, sampling), **_decoding(sampling)}


def _answered(engine: Any, asked: ModelInput, decoding: dict[str, Any]) -> dict[str, Any]:
    """Return the engine's answer to an exact input, that to raw text in the form of a chat's."""
    if asked.text is None:
        request = {"messages": [dict(each) for each in asked.messages], **decoding}
        return dict(engine.handle_chat_completions({**request, "chat_template_kwargs": dict(asked.template)}))
    asked.text.encode()
    answer = dict(engine.handle_completions({"prompt": asked.text, **decoding}))
    for choice in answer.get("choices", ()):
        choice["message"] = {"content": choice["text"]}
    return answer


def _scores(asked: ModelInput, top: int) -> dict[str, Any]:
    if not top:
        return {}
    return {"logprobs": top} if asked.text is not None else {"logprobs": True, "top_logprobs": top}


def _decoding(sampling: Sampling) -> dict[str, Any]:
    return {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # llama.cpp's own defaults would cut the distribution that temperature and top_p ask for.
        "top_k": 0,
        "min_p": 0.0,
        "seed": sampling.seed,
        "stop": list(sampling.stop),
    }


def _forced(text: str) -> dict[str, Any]:
    """Return what makes the engine generate ``text`` and nothing else.

    A grammar allows every split of a text into tokens; the bias, which does not count in the probabilities that
    are returned, leaves those of the tokenizer's own.
    """
    literal = "".join(c if c.isalnum() else f"\\U{ord(c):08X}" for c in text)
    return {
        "grammar": f'root ::= "{literal}"',
        "logit_bias": {text: _DECIDING},
        "max_tokens": len(text.encode()) + 1,
        "temperature": 0.0,
    }


def _understand(answer: dict[str, Any], sampling: Sampling, latency_s: float) -> Reply:
    if "error" in answer:
        error = answer["error"]
        if error.get("type") == "exceed_context_size_error":
            asked, room = error["n_prompt_tokens"], error["n_ctx"]
            return Reply.error(f"context overflow: {asked} tokens, the context holds {room}", latency_s)
        return Reply.error(_first_line(error.get("message", "unknown error")), latency_s)
    choice, counts = answer["choices"][0], answer["usage"]
    usage = Usage(prompt_tokens=counts["prompt_tokens"], completion_tokens=counts["completion_tokens"])
    cut = ""
    if choice["finish_reason"] == "length":
        full = usage.completion_tokens < sampling.max_tokens
        cut = "the context is full" if full else f"limit of {sampling.max_tokens} tokens"
    return spoken(choice["message"]["content"] or "", cut=cut, usage=usage, latency_s=latency_s)


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__
