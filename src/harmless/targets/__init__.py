"""Targets answer conversations; each kind is one file and one line in ``registry.yaml``, imported when used."""

from harmless.targets.options import TargetOptions
from harmless.targets.registry import TargetKind, describe, load

__all__ = ["TargetKind", "TargetOptions", "describe", "load"]
