"""Make any LLM harmless, and prove it.

The public API; every name is imported when it is first used, so that ``import harmless`` stays fast::

    import anyio
    import harmless

    policy = harmless.load_policy()
    target = harmless.load_target("embedded")
    suite = harmless.load_suite("quick")
    judges = harmless.load_judges("judge", policy)
    with harmless.Store(".harmless/evidence.db") as store:
        summary = anyio.run(harmless.run_check, target, suite, policy, store, judges)
    print(summary.unsafe.rate, summary.over_refusal.rate)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from harmless.check import Budget as Budget
    from harmless.check import CheckOptions as CheckOptions
    from harmless.check import Comparison as Comparison
    from harmless.check import Summary as Summary
    from harmless.check import check as run_check
    from harmless.check import grade as grade_run
    from harmless.check import load_judges as load_judges
    from harmless.check import load_policy as load_policy
    from harmless.check.compare import compare as compare_runs
    from harmless.core import Conversation as Conversation
    from harmless.core import Exchange as Exchange
    from harmless.core import Expect as Expect
    from harmless.core import Finding as Finding
    from harmless.core import Guard as Guard
    from harmless.core import GuardInfo as GuardInfo
    from harmless.core import Message as Message
    from harmless.core import Outcome as Outcome
    from harmless.core import Policy as Policy
    from harmless.core import Prompt as Prompt
    from harmless.core import Reply as Reply
    from harmless.core import ReplyStatus as ReplyStatus
    from harmless.core import Sampling as Sampling
    from harmless.core import Target as Target
    from harmless.core import TargetInfo as TargetInfo
    from harmless.core import Verdict as Verdict
    from harmless.data import Suite as Suite
    from harmless.data import load_suite as load_suite
    from harmless.evidence import Store as Store
    from harmless.guards import load as load_guard
    from harmless.loop import make_harmless as make_harmless
    from harmless.targets import TargetOptions as TargetOptions
    from harmless.targets import load as load_target

#: module -> the names it gives, as ``name`` or ``public name = name``
_PUBLIC = {
    "check": "Budget CheckOptions Comparison Summary run_check=check compare_runs=compare"
    " grade_run=grade load_judges load_policy",
    "core": "Conversation Exchange Expect Finding Guard GuardInfo Message Outcome Policy Prompt Reply"
    " ReplyStatus Sampling Target TargetInfo Verdict",
    "data": "Suite load_suite",
    "evidence": "Store",
    "guards": "load_guard=load",
    "loop": "make_harmless",
    "targets": "TargetOptions load_target=load",
}
_WHERE = {
    public: (f"harmless.{module}", name or public)
    for module, names in _PUBLIC.items()
    for public, _, name in (entry.partition("=") for entry in names.split())
}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'harmless' has no attribute '{name}'")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
