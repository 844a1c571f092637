"""``harmless explain``: why a model does what it does."""

from __future__ import annotations

from cyclopts import App

explain = App(name="explain", help="See why a model does what it does.", help_format="markdown")

for _name, _module in {
    "attribution": "explain_attribution",
    "bias": "explain_bias",
    "counterfactual": "explain_counterfactual",
    "hallucination": "explain_hallucination",
    "inside": "explain_inside",
    "misuse": "explain_misuse",
    "oversight": "explain_oversight",
}.items():
    explain.command(f"harmless.cli.{_module}:{_name}", name=_name)
