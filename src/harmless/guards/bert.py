"""Run a small encoder that is stored as static int8 ONNX: from texts to log-odds (extra ``encoder``).

An artefact is ``NAME.onnx``, ``NAME.tokens.json`` (the tokenizer) and ``NAME.json`` (thresholds, what it was
trained on). Texts of the same number of tokens are scored together and none is padded, so that a score does not
depend on the other texts of the batch.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harmless.errors import BadFileError, MissingExtraError

EXTRA, PACKAGES = "encoder", ("onnxruntime", "tokenizers")
FORMAT = 1
TOGETHER = 64
"""Texts that are scored in one call at most."""


@dataclass(frozen=True)
class Encoder:
    """An encoder with its metadata; the network is loaded at its first use."""

    name: str
    network: bytes
    tokens: bytes
    metadata: Mapping[str, Any]
    revision: str

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the (texts,) log-odds of harm, not calibrated.

        Raises:
            MissingExtraError: onnxruntime or tokenizers is not installed.
        """
        by_length: dict[int, list[int]] = defaultdict(list)
        read = self.read(texts)
        for place, ids in enumerate(read):
            by_length[len(ids)].append(place)
        scores = np.zeros(len(texts))
        for places in by_length.values():
            for start in range(0, len(places), TOGETHER):
                some = places[start : start + TOGETHER]
                scores[some] = self._session.run(None, {"ids": np.array([read[i] for i in some], np.int64)})[0]
        return scores

    def read(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of every text; of a long one head and tail, as the request may be at either end."""
        return shortened(self._tokenizer, texts, int(self.metadata["longest"]))

    @cached_property
    def _tokenizer(self) -> Any:
        require(f"Guard '{self.name}'")
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.tokens.decode())

    @cached_property
    def _session(self) -> Any:
        require(f"Guard '{self.name}'")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(self.network, options, providers=["CPUExecutionProvider"])


def shortened(tokenizer: Any, texts: Sequence[str], longest: int) -> list[list[int]]:
    """Return the tokens of every text: all, or the first and the last half of ``longest``."""
    found = [list(each.ids) for each in tokenizer.encode_batch(list(texts))]
    head = longest // 2
    return [ids if len(ids) <= longest else ids[:head] + ids[head - longest :] for ids in found]


def installed() -> bool:
    """Tell whether onnxruntime and tokenizers are installed; neither is imported."""
    return all(find_spec(package) for package in PACKAGES)


def require(what: str) -> None:
    """Raise MissingExtraError unless what runs an encoder is installed."""
    if not installed():
        raise MissingExtraError(what, EXTRA)


@cache
def shipped(name: str) -> Encoder:
    """Return the encoder of that name from the package, read once."""
    folder = resources.files("harmless.guards") / "artefacts"
    return parse(name, *((folder / file).read_bytes() for file in files(name)))


def read(folder: Path, name: str) -> Encoder:
    """Return the encoder of that name from a folder; BadFileError if it is not one."""
    try:
        return parse(name, *((folder / file).read_bytes() for file in files(name)))
    except (OSError, ValueError, KeyError) as cause:
        raise BadFileError(
            folder / f"{name}.onnx",
            f"not an encoder: {cause}.",
            next_step="Train it again: harmless guard train --tier 2.",
        ) from cause


def files(name: str) -> tuple[str, str, str]:
    """Return the names of an encoder's files: network, tokenizer, metadata."""
    return f"{name}.onnx", f"{name}.tokens.json", f"{name}.json"


def parse(name: str, network: bytes, tokens: bytes, metadata: bytes) -> Encoder:
    """Return the encoder in these bytes; ValueError or KeyError if they are not one."""
    described = json.loads(metadata)
    if described["format"] != FORMAT:
        raise ValueError(f"format {described['format']}, this version reads {FORMAT}")
    return Encoder(
        name, network, tokens, described, hashlib.sha256(network + tokens + metadata).hexdigest()[:16]
    )
