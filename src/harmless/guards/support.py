"""How well texts support a sentence: by words, by natural language inference, or by asking a model.

Every measure takes sentences and texts and gives, for each sentence and text, a number from 0 (supported) to 1
(contradicted, or not found); ``nan`` is "could not be measured".
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import anyio
import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from harmless.core import Sampling, Target, digest, user
from harmless.errors import BadFileError, MissingExtraError
from harmless.guards.asked import ask

QUESTION = (
    "Context: {context}\n\nSentence: {sentence}\n\n"
    "Is the sentence supported by the context above? Answer Yes or No.\n\nAnswer:"
)
"""The prompt of SelfCheckGPT's variant that asks a model (Manakul et al., 2023)."""
NLI_TOKENS, NLI_BATCH = 512, 16

_END = re.compile(r"(?<=[.!?。！？])[\"')\]]*\s+|\n+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_ANSWER = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class Support(Protocol):
    """Measures how far texts fail to support sentences."""

    revision: str

    async def measure(self, sentences: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the (sentences, texts) numbers; never raises for one pair."""
        ...


class Contained:
    """The share of a sentence's content words that a text lacks; needs no model and knows no paraphrase."""

    revision = "words-1"

    async def measure(self, sentences: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
        """Return 1 minus the share of content words found; a sentence without any is 0."""
        known = [set(tokens(text)) for text in texts]
        wanted = [content(sentence) for sentence in sentences]
        rows = [[sum(w not in text for w in words) / max(len(words), 1) for text in known] for words in wanted]
        return np.array(rows, float).reshape(len(sentences), len(texts))


class Asked:
    """What a model answers to ``QUESTION``: Yes is 0, No is 1, anything else one half, an error ``nan``."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.revision = digest(target.info.identity, QUESTION)

    async def measure(self, sentences: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the answers; one question a sentence and text."""
        pairs = [(sentence, text) for sentence in sentences for text in texts]
        asked = [
            user(QUESTION.format(context=" ".join(text.split()), sentence=sentence)) for sentence, text in pairs
        ]
        replies = await ask(self._target, asked, Sampling(max_tokens=8))
        found = [_answered(reply.text) if reply.has_text else math.nan for reply in replies]
        return np.array(found, float).reshape(len(sentences), len(texts))


class Nli:
    """A local model of natural language inference (extra ``hf``), with the text as premise.

    The number is the probability of contradiction among contradiction and entailment, as in SelfCheckGPT; with
    ``strict`` it is 1 minus the probability of entailment among all labels, so that neutral counts as
    unsupported.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        BadFileError: the folder holds no classifier with labels of entailment and contradiction.
    """

    def __init__(self, folder: str, *, strict: bool = False) -> None:
        self._model, self._tokenizer, self._labels = _loaded(folder)
        self._strict = strict
        self.revision = digest(
            Path(folder).name, strict, sorted(p.stat().st_size for p in Path(folder).iterdir())
        )
        self._turn = anyio.CapacityLimiter(1)

    async def measure(self, sentences: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the numbers; each pair is cut to ``NLI_TOKENS`` tokens, the premise first."""
        pairs = [(text, sentence) for sentence in sentences for text in texts]
        chances = await self.probabilities(pairs)
        entails, contradicts = chances[:, 0], chances[:, 2]
        found = 1 - entails if self._strict else contradicts / (entails + contradicts)
        return np.asarray(found, float).reshape(len(sentences), len(texts))

    async def entails(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Return for each (premise, hypothesis) whether entailment is the most likely label."""
        chances = await self.probabilities(pairs)
        return [int(row.argmax()) == 0 for row in chances]

    async def probabilities(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        """Return the (pairs, 3) probabilities of entailment, neutral and contradiction."""
        if not pairs:
            return np.zeros((0, 3))
        parts = [
            await run_sync(partial(self._run, pairs[at : at + NLI_BATCH]), limiter=self._turn)
            for at in range(0, len(pairs), NLI_BATCH)
        ]
        return np.concatenate(parts)

    def _run(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        import torch

        inputs = self._tokenizer(
            [premise for premise, _ in pairs],
            [hypothesis for _, hypothesis in pairs],
            padding=True,
            truncation="only_first",
            max_length=NLI_TOKENS,
            return_tensors="pt",
        )
        with torch.inference_mode():
            chances = self._model(**inputs).logits.float().softmax(dim=-1).numpy()
        columns = [chances[:, i] if i is not None else np.zeros(len(pairs)) for i in self._labels]
        return np.asarray(np.column_stack(columns), np.float64)


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the (start, end) of every sentence that holds a word, cut after . ! ? and at line breaks."""
    found, at = [], 0
    for end, following in [*(m.span() for m in _END.finditer(text)), (len(text), len(text))]:
        if _WORD.search(text, at, end):
            found.append((at, end))
        at = following
    return found


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return [word.lower() for word in _WORD.findall(text)]


def content(text: str) -> list[str]:
    """Return the words that carry what is said: of five letters or more, capitalised or with a digit."""
    return [
        word.lower()
        for word in _WORD.findall(text)
        if len(word) >= 5 or word[0].isupper() or not word.isalpha()
    ]


def unigram_max(sentence: str, texts: Sequence[str]) -> float:
    """Return the highest -log p of a word of the sentence under the unigram model of ``texts``, in nats.

    SelfCheckGPT's n-gram variant (Manakul et al., 2023): ``texts`` are the samples and the reply itself, so
    that no word has probability 0. 0 for a sentence without words.
    """
    counts = Counter(word for text in texts for word in tokens(text))
    total = sum(counts.values())
    found = [-math.log(counts[word] / total) for word in tokens(sentence) if counts[word]]
    return max(found, default=0.0)


def rarity(sentence: str, samples: Sequence[str]) -> float:
    """Return the highest share of samples that lack a content word of the sentence, 0 for one without such
    words."""
    known = [set(tokens(sample)) for sample in samples]
    missing = [sum(word not in text for text in known) / len(known) for word in content(sentence)]
    return max(missing, default=0.0)


def _answered(text: str) -> float:
    found = _ANSWER.match(text)
    return 0.5 if not found else 0.0 if found[1].lower() == "yes" else 1.0


def _loaded(folder: str) -> tuple[Any, Any, list[int | None]]:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("Natural language inference", "hf") from error
    if not Path(folder).is_dir():
        raise BadFileError(folder, "no such folder.", next_step="Give the folder of a model for NLI.")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    except (OSError, ValueError, ImportError) as error:
        raise BadFileError(
            folder, f"transformers cannot load it: {str(error).splitlines()[0][:200]}"
        ) from error
    names = {str(name).lower(): int(i) for i, name in model.config.id2label.items()}
    found = [
        next((i for name, i in names.items() if name.startswith(w)), None)
        for w in ("entail", "neutral", "contra")
    ]
    if found[0] is None or found[2] is None:
        raise BadFileError(
            folder,
            f"its labels are {', '.join(names)}.",
            next_step="They have to name entailment and contradiction.",
        )
    return model, tokenizer, found
