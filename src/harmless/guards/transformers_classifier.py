"""``classifier(PATH_OR_ID, ...)``: any text classifier of transformers (extra ``hf``)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import anyio
import yaml
from anyio.to_thread import run_sync

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict, digest
from harmless.core.model import Model
from harmless.errors import BadFileError, MissingExtraError, UnreachableError, UsageError

BATCH = 16
"""Windows in one call of the model."""
WINDOW = 512
"""Tokens of a window, unless the model takes fewer."""
OVERLAP = 64
"""Tokens that neighbouring windows share, so that nothing is cut in two."""
_OPTIONS = ("unsafe", "scores", "sees", "threshold")


class Labels(Model):
    """What a classifier's outputs mean.

    ``labels`` are (name, hazard) in the order of the outputs; ``unsafe`` the names that make a text unsafe;
    ``scores`` whether one class of several is right (softmax) or each label stands by itself (sigmoid).
    """

    labels: tuple[tuple[str, str | None], ...]
    unsafe: tuple[str, ...]
    scores: Literal["softmax", "sigmoid"] = "softmax"
    sees: Literal["prompt", "reply", "both"] = "both"
    threshold: float = 0.5
    licence: str = ""


class Classifier:
    """Judges the reply if there is one, else the prompt, by the model's probabilities of the unsafe labels.

    The score is their sum if one class of several is right, and the highest of them if each stands by itself.
    A text longer than a window is judged by its worst window. Probabilities may differ in the last digits with
    what else is in the batch.

    Args:
        name, revision: its identity.
        loaded: a model for sequence classification on its device, and its fast tokenizer.
        labels: what the outputs mean.
    """

    def __init__(self, name: str, revision: str, loaded: tuple[Any, Any], labels: Labels) -> None:
        self._model, self._tokenizer = loaded
        self._labels = labels
        limit = getattr(self._model.config, "max_position_embeddings", None) or WINDOW
        self._window = min(WINDOW, limit, self._tokenizer.model_max_length)
        self._info = GuardInfo(
            name=f"classifier({name})",
            revision=digest(revision, labels),
            sees=labels.sees,
            threshold=labels.threshold,
            hazards=tuple(
                sorted({hazard for name, hazard in labels.labels if hazard and name in labels.unsafe})
            ),
            licence=labels.licence,
            needs=("hf",),
        )
        self._turn = anyio.CapacityLimiter(1)

    @property
    def info(self) -> GuardInfo:
        """Name, revision of weights and labels, and the hazards of the unsafe labels."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; the model runs in a thread, one batch at a time."""
        texts = [each.prompt if each.reply is None else each.reply for each in exchanges]
        return await run_sync(self._verdicts, texts, limiter=self._turn)

    async def aclose(self) -> None:
        """Give back the model and its memory."""
        self._model = None

    def _verdicts(self, texts: Sequence[str]) -> list[Verdict]:
        """Judge all texts at once, or one by one if that fails."""
        if not texts:
            return []
        started = time.perf_counter()
        try:
            rows = self._probabilities(texts)
        except Exception as error:
            if len(texts) == 1:
                return [Verdict.unassessed(f"{self._info.name}: {type(error).__name__}: {_first_line(error)}")]
            return [self._verdicts([text])[0] for text in texts]
        each = (time.perf_counter() - started) / len(texts)
        return [self._verdict(row, each) for row in rows]

    def _probabilities(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the probability of each label for each text, the highest of its windows."""
        import torch

        stride = min(OVERLAP, self._window // 4)
        tokens = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._window,
            stride=stride,
            return_overflowing_tokens=True,
        )
        owners = tokens.pop("overflow_to_sample_mapping")
        found: list[list[float]] = [[] for _ in texts]
        unsafe = [i for i, (name, _) in enumerate(self._labels.labels) if name in self._labels.unsafe]
        for start in range(0, len(owners), BATCH):
            windows = {name: values[start : start + BATCH] for name, values in tokens.items()}
            batch = self._tokenizer.pad(windows, return_tensors="pt").to(self._model.device)
            with torch.inference_mode():
                logits = self._model(**batch).logits.float()
            chances = logits.sigmoid() if self._labels.scores == "sigmoid" else logits.softmax(dim=-1)
            for owner, row in zip(owners[start : start + BATCH], chances.tolist(), strict=True):
                if not found[owner] or self._score(row, unsafe) > self._score(found[owner], unsafe):
                    found[owner] = row
        return found

    def _score(self, row: Sequence[float], unsafe: Sequence[int]) -> float:
        chances = [row[i] for i in unsafe]
        return max(chances) if self._labels.scores == "sigmoid" else min(1.0, sum(chances))

    def _verdict(self, row: Sequence[float], latency_s: float) -> Verdict:
        names = [name for name, _ in self._labels.labels]
        unsafe = [i for i, name in enumerate(names) if name in self._labels.unsafe]
        score, chances = self._score(row, unsafe), dict(zip(names, row, strict=True))
        if not 0 <= score <= 1:  # also where it is no number
            return Verdict.unassessed(f"{self._info.name}: the model gives no probability")
        top = max(names, key=lambda name: chances[name])
        return Verdict(
            outcome=Outcome.UNSAFE if score >= self._labels.threshold else Outcome.SAFE,
            score=score,
            findings=tuple(
                Finding(hazard=hazard, rule=name, score=min(1.0, chances[name]))
                for name, hazard in self._labels.labels
                if name in self._labels.unsafe and chances[name] >= self._labels.threshold
            ),
            labels=chances,
            reason=f"{top} {chances[top]:.2f}",
            latency_s=latency_s,
        )


def classifier(model: str, *options: str) -> Classifier:
    """Return the guard of a model folder or a hub id.

    Args:
        model: the folder or id.
        *options: ``unsafe=LABEL`` or ``unsafe=LABEL|LABEL``, needed unless the model is a known one; and
            ``scores=sigmoid``, ``sees=prompt`` (``reply``, ``both``) and ``threshold=0.5``. Labels are those of
            the model's configuration.

    Raises:
        MissingExtraError: torch or transformers is not installed.
        BadFileError: the folder is not a text classifier.
        UnreachableError: the hub could not be reached and the model is not in its cache.
        UsageError: an option is wrong, or nothing says which labels are unsafe.
    """
    given = _options(options)
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError(f"Guard 'classifier({model})'", "hf") from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    loaded = _load(model, transformers)
    labels = labels_of(model, loaded[0].config, given)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    path, commit = Path(model), getattr(loaded[0].config, "_commit_hash", None)
    weights = _digest(path) if path.exists() else commit or "unknown"
    revision = digest(weights, version("transformers"), version("torch"), device)
    name = path.name if path.exists() else model
    return Classifier(name, revision, (loaded[0].to(device).eval(), loaded[1]), labels)


def labels_of(model: str, config: Any, given: dict[str, str]) -> Labels:
    """Return what the outputs of a model mean, as far as options do not say otherwise.

    Raises:
        UsageError: nothing says which labels are unsafe, or an option is wrong.
    """
    known = _known().get(model)
    own = [str(config.id2label[i]) for i in range(config.num_labels)]
    if known and isinstance(known["labels"], dict):
        meaning = {name: known["labels"].get(name) for name in own}
        unsafe = [name for name, hazard in meaning.items() if hazard]
        plain = dict(known) | {"labels": list(meaning.items()), "unsafe": unsafe}
    elif known:
        plain = dict(known) | {"labels": [e if isinstance(e, list) else [e, None] for e in known["labels"]]}
    else:
        several = getattr(config, "problem_type", None) == "multi_label_classification"
        plain = {"labels": [[name, None] for name in own], "scores": "sigmoid" if several else "softmax"}
    names = [name for name, _ in plain["labels"]]
    if len(names) != len(own):
        raise UsageError(
            f"{model} has {len(own)} outputs, not {len(names)}.", "Name a folder with its own labels."
        )
    if "unsafe" in given:
        plain["unsafe"] = [part.strip() for part in given["unsafe"].split("|")]
    if not plain.get("unsafe") or not set(plain["unsafe"]) <= set(names):
        raise UsageError(
            f"Which labels of {model} are unsafe is not known.", f"Add unsafe=LABEL; it has {', '.join(names)}."
        )
    plain |= {name: value for name, value in given.items() if name != "unsafe"}
    try:
        return Labels.model_validate(plain)
    except ValueError as error:
        raise UsageError(
            f"A classifier does not take {given}: {_first_line(error)}.", "See its options."
        ) from None


def _options(options: Sequence[str]) -> dict[str, str]:
    given = dict(option.partition("=")[::2] for option in options)
    wrong = [name for name, value in given.items() if name not in _OPTIONS or not value]
    if wrong:
        raise UsageError(
            f"A classifier has no option '{wrong[0]}'.",
            f"Options: {', '.join(f'{name}=' for name in _OPTIONS)}.",
        )
    return given


def _load(model: str, transformers: Any) -> tuple[Any, Any]:
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        return transformers.AutoModelForSequenceClassification.from_pretrained(model), tokenizer
    except (OSError, ValueError, ImportError) as error:
        if Path(model).exists() or model.count("/") != 1:
            raise BadFileError(
                model,
                f"transformers cannot load it: {_first_line(error)}",
                next_step="Give the folder of a text classifier or a hub id.",
            ) from error
        raise UnreachableError(
            f"The model {model} cannot be fetched: {_first_line(error)}",
            "Check the name and the network, or give a folder.",
        ) from error


@cache
def _known() -> dict[str, dict[str, Any]]:
    text = resources.files(__package__).joinpath("classifiers.yaml").read_text(encoding="utf-8")
    known: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return known


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]


def _digest(folder: Path) -> str:
    files = sorted(
        {f for kind in ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model") for f in folder.glob(kind)}
    )
    total = hashlib.sha256()
    for each in files:
        with each.open("rb") as file:
            total.update(f"{each.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
