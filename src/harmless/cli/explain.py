"""``harmless explain``: why a model does what it does."""

from __future__ import annotations

from cyclopts import App

explain = App(name="explain", help="See why a model does what it does.", help_format="markdown")

for _name, _help in {
    "attribution": "Show which words of a prompt drive a reply.",
    "bias": "Show which groups a model treats differently.",
    "counterfactual": "Find the smallest edit after which a target answers, or refuses.",
    "hallucination": "Show which claims of a reply a target would not make again.",
    "inside": "Look into the layers of a model.",
    "misuse": "Show which inputs raise a model's compliance most.",
    "oversight": "Take one decision of a run apart for a reviewer.",
}.items():
    explain.command(f"harmless.cli.explain_{_name}:{_name}", name=_name, help=_help)
