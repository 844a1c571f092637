"""The model that a suffix is searched on."""

from __future__ import annotations

import functools
import importlib.util
import threading
from typing import Any, NamedTuple

from harmless.attacks.suffix.search import printable
from harmless.errors import MissingExtraError
from harmless.internals.model import LocalModel
from harmless.targets.local import open_model

_LOCK = threading.Lock()


class Opened(NamedTuple):
    """A model, and which of its tokens may stand in a suffix, of shape (vocabulary,)."""

    local: LocalModel
    allowed: Any


def opened(spec: str) -> Opened:
    """Return the model that a spec names; it stays loaded until another one is asked for.

    Raises what :func:`harmless.targets.local.open_model` raises.
    """
    with _LOCK:
        return _opened(spec)


@functools.lru_cache(maxsize=1)
def _opened(spec: str) -> Opened:
    local = open_model(spec)
    return Opened(local, printable(local))


def needs_torch(what: str) -> None:
    """Raise MissingExtraError if torch or transformers is not installed; neither is imported."""
    if not all(map(importlib.util.find_spec, ("torch", "transformers"))):
        raise MissingExtraError(what, "hf")
