"""The methods of ``harmless align``, from ``methods.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from harmless.align.settings import Tuning, tuning
from harmless.core.model import Model
from harmless.errors import UsageError

#: Methods that train no weight, which have their own options: see :mod:`harmless.align.gated` and
#: :mod:`harmless.align.steer`.
UNTRAINED = ("gate", "steer")


class Method(Model):
    """A method: its settings, and where the replies to harmful prompts come from."""

    name: str
    summary: str
    settings: Mapping[str, Any]
    replies: Literal["templates", "revision", "feedback"] = "templates"

    def tuning(self, **changes: Any) -> Tuning:
        """Return the method's settings with changes; what is None stays as the method has it.

        Raises:
            UsageError: a setting is out of range.
        """
        return tuning({**self.settings, **{k: v for k, v in changes.items() if v is not None}})


@cache
def methods() -> Mapping[str, Method]:
    """Return all methods by name."""
    text = resources.files(__package__).joinpath("methods.yaml").read_text(encoding="utf-8")
    return {name: Method(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def method(name: str) -> Method:
    """Return a method; UsageError that lists all of them if there is none of this name."""
    if name not in methods():
        raise UsageError(f"Unknown method '{name}'.", f"Known: {', '.join((*UNTRAINED, *methods()))}.")
    return methods()[name]
