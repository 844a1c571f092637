"""Attacks search for ways in which a target does what it should refuse; one file an attack."""

from harmless.attacks.campaign import CampaignOptions, attack
from harmless.attacks.contract import Attack, AttackInfo, Tried
from harmless.attacks.objectives import built_in, from_file, from_set, from_texts
from harmless.attacks.registry import AttackEntry, describe, load
from harmless.attacks.results import AttackResult, Results, Success, results, successes

__all__ = [
    "Attack",
    "AttackEntry",
    "AttackInfo",
    "AttackResult",
    "CampaignOptions",
    "Results",
    "Success",
    "Tried",
    "attack",
    "built_in",
    "describe",
    "from_file",
    "from_set",
    "from_texts",
    "load",
    "results",
    "successes",
]
