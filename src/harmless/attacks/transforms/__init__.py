"""Transforms of texts, and the attacks that ask for an objective in another form."""

from harmless.attacks.transforms.attack import Transforms
from harmless.attacks.transforms.transform import Chain, Transform, chain, names, transform

__all__ = ["Chain", "Transform", "Transforms", "chain", "names", "transform"]
