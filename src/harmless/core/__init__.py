"""The words of the project as frozen models: no I/O, no other layer."""

from harmless.core.completion import Completion, CompletionTarget, ModelInput, Token
from harmless.core.conversation import Conversation, Message, Role, user
from harmless.core.exchange import Exchange
from harmless.core.hashing import digest
from harmless.core.policy import GradeBand, GuardRule, Policy
from harmless.core.prompt import Expect, Prompt
from harmless.core.protocols import Guard, GuardInfo, LogProbTarget, Target, TargetInfo
from harmless.core.reply import Reply, ReplyStatus, Usage
from harmless.core.sampling import Sampling
from harmless.core.verdict import Finding, Outcome, Verdict

__all__ = [
    "Completion",
    "CompletionTarget",
    "Conversation",
    "Exchange",
    "Expect",
    "Finding",
    "GradeBand",
    "Guard",
    "GuardInfo",
    "GuardRule",
    "LogProbTarget",
    "Message",
    "ModelInput",
    "Outcome",
    "Policy",
    "Prompt",
    "Reply",
    "ReplyStatus",
    "Role",
    "Sampling",
    "Target",
    "TargetInfo",
    "Token",
    "Usage",
    "Verdict",
    "digest",
    "user",
]
