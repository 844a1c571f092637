"""Align a model by a gate in its weights: gather prompts, fit, leave a folder that is a target like another."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from anyio.to_thread import run_sync
from numpy.typing import NDArray

from harmless.align import push, templates
from harmless.align.drafts import Draft
from harmless.align.folders import assert_free
from harmless.align.frontier import few, measure
from harmless.align.gate import (
    WIDE,
    WIDTH,
    Gate,
    Vector,
    adapted,
    assert_gated,
    opening_states,
    place_of,
    score_of,
)
from harmless.align.gather import (
    PROMPTS,
    Gathering,
    assert_both_kinds,
    collected,
    counts_of,
    told,
    write_prompts,
)
from harmless.align.packing import Tokens, Tree
from harmless.align.run import DATA, MANIFEST, Aligned, Told, write_model
from harmless.align.settings import Tuning
from harmless.align.split import split
from harmless.align.trainer import Report, enough_memory
from harmless.align.upper import Upper
from harmless.core import Expect, digest
from harmless.errors import UsageError
from harmless.evidence import Store
from harmless.internals import probe
from harmless.internals.chat import encode
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel
from harmless.stats.ranking import auroc

#: Name of the method.
GATE = "gate"
#: Share of the depth between which a layer is looked for, and how many are tried.
DEPTHS, TRIED = (0.45, 0.85), 6
#: Shares of benign twins, and of prompts on no hazard's ground, that may be refused: the stricter one counts.
TOLERATED, ORDINARY = 0.25, 0.02
#: Prompts that a push is learnt from at most.
TAUGHT = 240
#: Prompts of a kind below which nothing is fitted on them.
LEAST = 10
WORK, _READ = "gating", "read.npz"

#: What is in a folder that a gating began.
BEGUN = (MANIFEST, WORK, f"{DATA}/{PROMPTS}")


@dataclass(frozen=True)
class Gating:
    """What to align by a gate, and on what.

    Args:
        spec: the model, as in :class:`harmless.align.run.Alignment`.
        gathering: which prompts; the replies of its sources are not looked at.
        out: the folder that is written.
        tolerated: share of the benign sides of contrast pairs that may be refused.
        longest: prompts of more tokens are left out.
        asked: what a command asked for, which the manifest keeps.
    """

    spec: str
    gathering: Gathering
    out: Path
    tolerated: float = TOLERATED
    longest: int = 512
    asked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Prompts:
    """Prompts to learn from with their tokens, as arrays of their order."""

    drafts: tuple[Draft, ...]
    tokens: tuple[Tokens, ...]

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """Which are to be refused."""
        return np.array([each.expect is Expect.REFUSE for each in self.drafts])

    @property
    def twins(self) -> NDArray[np.bool_]:
        """Which are sides of contrast pairs; none if there are too few of them."""
        found = np.array([each.pair is not None for each in self.drafts])
        harmful = int((found & self.wanted).sum())
        return found if min(harmful, int(found.sum()) - harmful) >= LEAST else np.zeros_like(found)

    @property
    def folds(self) -> NDArray[np.intp]:
        """Return the fold of each, both sides of a pair in the same."""
        names = {
            name: i for i, name in enumerate(dict.fromkeys(e.pair or i for i, e in enumerate(self.drafts)))
        }
        return probe.folds_of(np.array([names[each.pair or i] for i, each in enumerate(self.drafts)]))


async def gate(
    what: Gating, local: LocalModel, store: Store | None = None, tell: Told = lambda step, known: None
) -> Aligned:
    """Put a gate into a model and return what came of it; ``local`` is the model that ``what.spec`` names.

    A command that is killed goes on with the states that were read.

    Raises:
        GateFailedError: a prompt to learn from is one of an evaluation suite.
        UsageError: the folder to write holds something else, there are not both kinds of prompts, or the model
            has no gated MLP.
        TrainingFailedError: the memory is too small.
    """
    assert_free(what.out, BEGUN, what.spec)
    assert_gated(local)
    tell("gather prompts", None)
    drafts, left_out = collected(what.gathering, store)
    known = await told(drafts, left_out)
    if not known:
        raise UsageError("Nothing is left to align on.", f"Left out: {counts_of(left_out)}.")
    train, development = split(known, what.gathering.development, what.gathering.seed)
    prompts = _encoded(local, train, what.longest, left_out)
    assert_both_kinds(known, prompts.drafts, left_out)
    _assert_enough(prompts)
    asked = few(_encoded(local, development, what.longest, left_out).drafts)
    write_prompts(what.out / DATA, train, development)
    tell(f"learn from {len(prompts.drafts)} prompts; left out: {counts_of(left_out)}", None)
    if any(draft.good for draft in known):
        tell("replies in the data are not used: a --method that trains, such as simpo, learns from them", None)
    base, began = local.revision, time.monotonic()
    with enough_memory():
        before = await measure(local, asked)
        tell("before", before)
        found, about = await run_sync(_fitted, what, local, prompts, tell)
        trained = await run_sync(adapted, local, found)
        after = await measure(trained, asked)
    tell("after", after)
    manifest = _manifest(what, base, prompts, left_out) | {
        "gate": about,
        "seconds": round(time.monotonic() - began, 1),
        "before": asdict(before),
        "after": asdict(after),
    }
    tell("write the model", None)
    manifest["files"] = await run_sync(write_model, what.spec, Tuning(), what.out, trained)
    (what.out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(what.out / WORK)
    return Aligned(what.out, manifest, before, after)


def _assert_enough(prompts: _Prompts) -> None:
    harmful = int(prompts.wanted.sum())
    if min(harmful, len(prompts.drafts) - harmful) < LEAST:
        raise UsageError(
            f"{harmful} harmful and {len(prompts.drafts) - harmful} benign prompts are too few to learn from.",
            f"Give {LEAST} of each at least, or add our own: --data ... pairs ordinary.",
        )


def _encoded(local: LocalModel, drafts: Sequence[Draft], longest: int, left_out: Counter[str]) -> _Prompts:
    kept, tokens = [], []
    for draft in drafts:
        try:
            found = encode(local, draft.conversation).tokens
        except ValueError:
            left_out["the chat template refuses the conversation"] += 1
            continue
        if len(found) > longest:
            left_out[f"the prompt has more than {longest} tokens"] += 1
            continue
        kept.append(draft)
        tokens.append(found)
    return _Prompts(tuple(kept), tuple(tokens))


def _fitted(what: Gating, local: LocalModel, prompts: _Prompts, tell: Told) -> tuple[Gate, dict[str, Any]]:
    """Return the gate, and what the manifest says of it."""
    depth = len(decoder_layers(local.model))
    layers = sorted({max(1, int(share * depth)) for share in np.linspace(*DEPTHS, TRIED)})
    _assert_apart(local, prompts, layers)
    tell(f"read layers {', '.join(str(layer + 1) for layer in layers)}", None)
    states = _read(local, prompts, layers, what.out / WORK)
    wanted, twins = prompts.wanted, prompts.twins
    # Everyday prompts are told apart anywhere; twins are what a layer is chosen by.
    hard = twins if twins.any() else np.ones_like(twins)
    scores = [probe.held_out(states[:, at], wanted, prompts.folds) for at in range(len(layers))]
    areas = [float(auroc(each[hard], wanted[hard])) for each in scores]
    best = int(np.argmax(areas))
    layer = layers[best]
    tell(f"layer {layer + 1} of {depth} tells them apart (AUROC {areas[best]:.3f}); learn what to say", None)
    order = np.random.default_rng(0).permutation(len(prompts.tokens))
    place, use = place_of(local, [prompts.tokens[i] for i in order], layer)
    first, second = (int(i) for i in np.argsort(use, kind="stable")[:2])
    # The bias of the score is in the place, so a gate sees states in units of their product with it.
    read = states[:, best] / (states[:, best] @ place)[:, None]
    seen = probe.held_out(read, wanted, prompts.folds)
    line, about = _line(seen, prompts, what.tolerated)
    fitted = probe.fit(read, wanted, layer=layer, pool="last", model=local.revision)
    about |= {"layer": layer + 1, "auroc": round(areas[best], 3), "says": templates.load().everywhere}
    push = _push(local, prompts, layer, place, tell)
    exact = next(local.model.parameters()).element_size() >= 4
    return Gate(layer, (first, second), place, *score_of(fitted), line, push, WIDTH if exact else WIDE), about


def _assert_apart(local: LocalModel, prompts: _Prompts, layers: Sequence[int]) -> None:
    """Stop before the long reading if upper layers cannot be run apart, which the push needs."""
    try:
        for layer in layers:
            Upper(local, [Tree(prompts.tokens[0], ((0, 0),))], layer)
    except UsageError as error:
        raise UsageError(error.message, "Take another --method, such as simpo with --frozen 0.") from None


def _read(local: LocalModel, prompts: _Prompts, layers: Sequence[int], folder: Path) -> NDArray[np.float32]:
    """Return the states where replies begin; kept, because reading takes the most time."""
    key = digest(local.revision, layers, prompts.tokens)
    path = folder / _READ
    if path.is_file():
        with np.load(path, allow_pickle=False) as file:
            if str(file["key"]) == key:
                return np.asarray(file["states"])
    states = opening_states(local, prompts.tokens, layers)
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, states=states, key=np.array(key))
    part.replace(path)
    return states


def _line(scores: NDArray[np.float64], prompts: _Prompts, tolerated: float) -> tuple[float, dict[str, Any]]:
    """Return from which score on a prompt is refused, and how many of each kind that are.

    The scores are of prompts that the probe was not fitted on. The stricter of the lines for twins and for
    other benign prompts counts.
    """
    twins, others = ~prompts.wanted & prompts.twins, ~prompts.wanted & ~prompts.twins
    bounds = {}
    for name, of, share in (("benign_twins", twins, tolerated), ("ordinary", others, ORDINARY)):
        if of.any():
            bounds[name] = float(np.quantile(scores[of], 1 - share))
    decides = max(bounds, key=lambda name: bounds[name])
    opened = scores > bounds[decides]
    return bounds[decides], {
        "decided_by": decides,
        "harmful": round(float(opened[prompts.wanted].mean()), 3),
        "benign_twins": _share(opened, twins),
        "ordinary": _share(opened, others),
    }


def _push(local: LocalModel, prompts: _Prompts, layer: int, place: Vector, tell: Told) -> Vector:
    """Return what makes the model say the refusal that fits everywhere."""
    trees = []
    for i in np.random.default_rng(0).permutation(np.flatnonzero(prompts.wanted))[:TAUGHT]:
        found = encode(local, prompts.drafts[i].conversation, templates.load().everywhere)
        trees.append(Tree(found.tokens[: found.prompt], (found.tokens[found.prompt :],)))

    def observe(step: int, loss: float) -> None:
        tell("train", Report(step + 1, push.STEPS, loss, {}, 0.0, 0.0))

    return push.learnt(local, trees, layer, place, observe)


def _share(opened: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    return round(float(opened[of].mean()), 3) if of.any() else None


def _manifest(what: Gating, base: str, prompts: _Prompts, left_out: Counter[str]) -> dict[str, Any]:
    return {
        "method": GATE,
        "asked": dict(what.asked),
        "base": {"target": what.spec, "revision": base},
        "tuning": {"weights": "lora", "tolerated": what.tolerated},
        "data": {
            "hash": digest([each.conversation for each in prompts.drafts]),
            "examples": len(prompts.drafts),
            "left_out": dict(+left_out),
            "licences": dict(Counter(each.licence or "not said" for each in prompts.drafts)),
            "sources": dict(Counter(each.source or "not said" for each in prompts.drafts)),
        },
        "versions": {name: version(name) for name in ("harmless", "torch", "transformers", "peft")},
    }
