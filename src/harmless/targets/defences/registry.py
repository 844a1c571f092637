"""Find defences by name, and put them before a target."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module, resources
from typing import cast

import yaml

from harmless.core import Guard, Target
from harmless.core.model import Model
from harmless.errors import UnknownNameError, UsageError
from harmless.targets.options import TargetOptions
from harmless.targets.registry import load


class DefenceEntry(Model):
    """What is known of a defence before it is imported; ``make`` is ``module:function``."""

    name: str
    make: str
    summary: str
    source: str


def describe() -> list[DefenceEntry]:
    """Return one entry a defence, in the registry's order."""
    return list(_entries().values())


def wrap(name: str, target: Target, guards: Callable[[str], Guard] | None = None) -> Target:
    """Return ``target`` behind the defence of that name.

    Raises:
        UnknownNameError: there is no such defence; the message suggests the nearest.
        UsageError: the defence needs guards, and nobody gave a loader of them.
    """
    if name not in _entries():
        raise UnknownNameError("defence", name, _entries())
    module, _, function = _entries()[name].make.partition(":")
    make = cast("Callable[..., Target]", getattr(import_module(module), function))
    if "guards" not in inspect.signature(make).parameters:
        return make(target)
    if guards is None:
        raise UsageError(f"The defence {name} needs guards.", "Pass guards=harmless.load_guard to load_target.")
    return make(target, guards=guards)


def defended(argument: str, options: TargetOptions, guards: Callable[[str], Guard] | None = None) -> Target:
    """Return the target of ``DEFENCE:TARGET``; the target may be defended or guarded itself.

    Raises:
        UsageError: one of the two is missing; see also :func:`wrap`.
    """
    name, _, spec = argument.partition(":")
    if not name or not spec:
        raise UsageError(
            f"'defended:{argument}' names no defence or no target.", "Write defended:DEFENCE:TARGET."
        )
    if name not in _entries():
        raise UnknownNameError("defence", name, _entries())
    return wrap(name, load(spec, options, guards=guards), guards)


@functools.cache
def _entries() -> dict[str, DefenceEntry]:
    text = resources.files(__package__).joinpath("registry.yaml").read_text(encoding="utf-8")
    return {name: DefenceEntry(name=name, **fields) for name, fields in yaml.safe_load(text).items()}
