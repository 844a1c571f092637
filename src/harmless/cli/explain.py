"""``harmless explain``: why a model does what it does."""

from __future__ import annotations

from cyclopts import App

from harmless.cli import lazy

explain = App(name="explain", help="See why a model does what it does.", help_format="markdown")

for _name in ("attribution", "bias", "counterfactual", "hallucination", "inside", "misuse", "oversight"):
    lazy.command(explain, _name, f"explain_{_name}:{_name}")
