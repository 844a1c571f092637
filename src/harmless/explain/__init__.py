"""Explains what a model does: what drove a reply, what its layers hold, whether it was tampered with."""
