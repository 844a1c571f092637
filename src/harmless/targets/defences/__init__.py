"""Defences stand before a target: ``defended:DEFENCE:TARGET``. One file an idea, one line in the registry."""

from harmless.targets.defences.registry import DefenceEntry, defended, describe, wrap

__all__ = ["DefenceEntry", "defended", "describe", "wrap"]
