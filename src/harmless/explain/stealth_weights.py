"""Where the weights of two models differ, and whether it looks like an edit of single neurons.

A stealth edit (Sutton et al. 2024) changes one row of an up projection and one column of a down projection; a
merged LoRA changes many matrices by a low rank; fine-tuning changes all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from harmless.core.model import Model
from harmless.explain.stealth_replies import Sign
from harmless.internals.model import LocalModel

#: An edit: this share of what changed in a matrix lies in so few of its rows or columns.
CONFINED, FEW = 0.95, 4
#: A change of low rank: this share of it lies in so many singular directions, and in a quarter of all at most.
HELD, RANK = 0.999, 64
#: Robust deviations of the logarithm of a norm, in gate (or up) and down at once, that no usual neuron has.
OUTLIER = 20.0
_LAYER = re.compile(r"\.(\d+)\.")


class Change(StrEnum):
    """What the differences look like."""

    NONE = "none"
    PARTS = "other parts"  #: tensors that only one of both has, or of another shape
    EDIT = "edit"  #: few rows or columns of few matrices
    LOW_RANK = "low rank"
    BROAD = "broad"


class Difference(Model):
    """How one tensor differs: relative size, the rows or columns that hold it, and how concentrated it is.

    ``places`` are up to four rows or columns (``along`` says which) with the largest change, ``share`` how much
    of the squared change they hold, ``rank`` the stable rank of the change.
    """

    tensor: str
    layer: int | None
    relative: float
    along: str
    places: tuple[int, ...]
    share: float
    rank: int | None


class Weights(Model):
    """The comparison of two models, the largest differences first."""

    change: Change
    tensors: int
    differences: tuple[Difference, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def edited(self) -> dict[int, tuple[int, ...]]:
        """Layer -> the neurons that an edit changed."""
        found: dict[int, set[int]] = {}
        for each in self.differences:
            if each.layer is not None and each.share >= CONFINED:
                found.setdefault(each.layer, set()).update(each.places)
        return {layer: tuple(sorted(places)) for layer, places in sorted(found.items())}


def compare(local: LocalModel, reference: LocalModel) -> Weights:
    """Return where the weights of ``local`` differ from those of ``reference``."""
    ours, theirs = _tensors(local), _tensors(reference)
    every = ours.keys() | theirs.keys()
    missing = sorted(name for name in every if not _alike(ours.get(name), theirs.get(name)))
    found = [_difference(name, ours[name], theirs[name]) for name in ours if name not in missing]
    changed = sorted((each for each in found if each is not None), key=lambda each: -each.relative)
    return Weights(
        change=_kind(changed, missing),
        tensors=len(ours),
        differences=tuple(changed),
        missing=tuple(missing),
    )


def signs(weights: Weights) -> list[Sign]:
    """Return a sign for each layer with an edit, and one for parts that only one model has."""
    found = []
    if weights.missing:
        detail = ", ".join(weights.missing[:3])
        found.append(Sign(kind="other parts", where="model", score=float(len(weights.missing)), detail=detail))
    if weights.change is Change.EDIT:
        for layer, places in weights.edited.items():
            named = ", ".join(map(str, places))
            size = max(each.relative for each in weights.differences if each.layer == layer)
            found.append(Sign(kind="weight edit", where=f"layer {layer}", score=size, detail=f"neuron {named}"))
    return found


def outliers(local: LocalModel) -> Iterator[Sign]:
    """Yield a sign for each neuron with extreme weights on both sides, without a reference.

    It finds careless edits only: the norms can be traded between the row and the column.
    """
    import torch

    tensors = _tensors(local)
    for name, down in tensors.items():
        if not name.endswith("down_proj.weight"):
            continue
        sides = [tensors.get(name.replace("down_proj", other)) for other in ("gate_proj", "up_proj")]
        rows = [each.norm(dim=1) for each in sides if each is not None]
        if not rows:
            continue
        both = torch.minimum(torch.stack([_apart(each) for each in rows]).amax(0), _apart(down.norm(dim=0)))
        for neuron in torch.nonzero(both >= OUTLIER).flatten().tolist():
            where, detail = f"layer {_layer(name)}", f"neuron {neuron}"
            yield Sign(kind="weight outlier", where=where, score=float(both[neuron]), detail=detail)


def _tensors(local: LocalModel) -> Mapping[str, Any]:
    model = local.model
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    return {name: tensor.float() for name, tensor in model.state_dict().items() if tensor.is_floating_point()}


def _alike(a: Any, b: Any) -> bool:
    return a is not None and b is not None and a.shape == b.shape


def _difference(name: str, ours: Any, theirs: Any) -> Difference | None:
    change = ours - theirs.to(ours.device)
    size = float(change.norm())
    if not size:
        return None
    matrix = change if change.ndim == 2 else change.reshape(-1, 1)
    along, places, share = max((_confined(matrix, dim) for dim in (0, 1)), key=lambda each: each.share)
    return Difference(
        tensor=name,
        layer=_layer(name),
        relative=size / max(float(theirs.norm()), 1e-12),
        along=along,
        places=places,
        share=share,
        rank=_rank(matrix),
    )


class _Confined(NamedTuple):
    along: str
    places: tuple[int, ...]
    share: float


def _confined(matrix: Any, dim: int) -> _Confined:
    """Return the few rows (0) or columns (1) that changed most, and their share of the squared change."""
    sizes = matrix.square().sum(dim=1 - dim)
    if len(sizes) <= FEW:
        return _Confined("", (), 0.0)
    top = sizes.topk(FEW)
    total, held, places = float(sizes.sum()), 0.0, []
    for value, place in zip(top.values.tolist(), top.indices.tolist(), strict=True):
        if held >= CONFINED * total:
            break
        held += value
        places.append(place)
    return _Confined("row" if dim == 0 else "column", tuple(sorted(places)), held / total)


def _rank(matrix: Any) -> int | None:
    """Return how many singular directions hold ``HELD`` of the squared change, None if they are not few."""
    import torch

    most = min(RANK, min(matrix.shape) // 4)
    if not most:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, values, _ = torch.svd_lowrank(matrix, q=most)
    held = values.square().cumsum(0) / matrix.square().sum()
    enough = torch.nonzero(held >= HELD).flatten().tolist()
    return enough[0] + 1 if enough else None


def _kind(changed: Sequence[Difference], missing: Sequence[str]) -> Change:
    if missing:
        return Change.PARTS
    if not changed:
        return Change.NONE
    if all(each.share >= CONFINED for each in changed):
        return Change.EDIT
    return Change.LOW_RANK if all(each.rank is not None for each in changed) else Change.BROAD


def _apart(norms: Any) -> Any:
    logs = norms.clamp_min(1e-12).log()
    apart = logs - logs.median()
    return apart / (1.4826 * apart.abs().median()).clamp_min(1e-6)


def _layer(name: str) -> int | None:
    found = _LAYER.search(name)
    return int(found[1]) if found else None
