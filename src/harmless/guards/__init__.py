"""Guards judge exchanges; each is one file and one line in ``registry.yaml``, imported when it is used."""

from harmless.guards.registry import GuardEntry, describe, load, names

__all__ = ["GuardEntry", "describe", "load", "names"]
