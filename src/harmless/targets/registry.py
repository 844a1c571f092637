"""Find targets by spec: ``registry.yaml`` for our kinds, entry points ``harmless.targets`` for others'."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module, resources
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any, cast

import yaml

from harmless.core import Guard, Target
from harmless.core.model import Model
from harmless.errors import MissingExtraError, UnknownNameError, UsageError
from harmless.targets.options import TargetOptions

GROUP = "harmless.targets"

_DEFAULTS = TargetOptions()


class TargetKind(Model):
    """What is known of a kind of target before it is imported.

    ``make`` is ``module:function``; ``form`` how a spec is written; ``extra`` names the optional dependencies
    it needs, None for the core.
    """

    name: str
    make: str
    form: str = ""
    summary: str = ""
    extra: str | None = None


def describe() -> list[TargetKind]:
    """Return one entry a kind, in the registry's order; nothing of a target is imported."""
    return list(_kinds().values())


def load(
    spec: str, options: TargetOptions = _DEFAULTS, *, guards: Callable[[str], Guard] | None = None
) -> Target:
    """Return the target that ``spec`` names.

    Args:
        spec: a kind, a colon, and what the kind makes of the rest: ``embedded``, ``embedded:model.gguf``,
            ``openai:MODEL``, ``anthropic:MODEL``, ``hf:PATH``, ``guarded:GUARD:TARGET``, ``scripted:FILE``.
        options: how it is reached and run.
        guards: makes the guard that a ``guarded`` spec names; the layer of guards is above this one.

    Raises:
        UnknownNameError: there is no such kind; the message suggests the nearest.
        UsageError: the rest of the spec or an option is wrong, a file or a key is missing.
        MissingExtraError: the kind needs an optional package that is not installed.
    """
    name, _, argument = spec.partition(":")
    kinds = _kinds()
    if name not in kinds:
        raise UnknownNameError("target", name, kinds)
    make = _import(kinds[name])
    further = {"guards": guards} if "guards" in inspect.signature(make).parameters else {}
    return make(argument, options, **further)


def _import(kind: TargetKind) -> Callable[..., Target]:
    module, _, function = kind.make.partition(":")
    try:
        return cast("Callable[..., Target]", attrgetter(function)(import_module(module)))
    except (ImportError, AttributeError) as cause:
        if kind.extra:
            raise MissingExtraError(f"Target '{kind.name}'", kind.extra) from cause
        raise UsageError(
            f"Target '{kind.name}' cannot be imported: {cause}.", "Reinstall the package that brings it."
        ) from cause


@functools.cache
def _kinds() -> dict[str, TargetKind]:
    text = resources.files(__package__).joinpath("registry.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    ours = {name: TargetKind(name=name, **fields) for name, fields in entries.items()}
    # Ours win: a package that is merely installed must not replace a kind that a plan names.
    others = (point for point in entry_points(group=GROUP) if point.name not in ours)
    return ours | {point.name: TargetKind(name=point.name, make=point.value) for point in others}
