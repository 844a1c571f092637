"""What the evidence store holds, as frozen models."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from harmless.core import Conversation, GuardInfo, Policy, Reply, Sampling, TargetInfo, Verdict, digest
from harmless.core.addresses import without_credentials
from harmless.core.model import Model


class RunRecord(Model):
    """One run: what was asked of whom, judged by which guards, under which policy.

    ``key`` is the digest of all that decides the outcome, so that the same command finds its run again.
    ``guards`` maps a role (``harm``, ``refusal``) to the guard that had it. ``options`` holds the rest of the
    plan (samples, stop_early, seed) and what is needed to reproduce it (version, command, this without
    credentials in addresses).
    """

    id: str
    key: str
    kind: str
    created_at: str
    suite: str
    plan_hash: str
    target: TargetInfo
    guards: dict[str, GuardInfo]
    policy: Policy
    sampling: Sampling
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _hide_credentials(cls, options: dict[str, Any]) -> dict[str, Any]:
        command = options.get("command")
        return {**options, "command": without_credentials(str(command))} if command else options

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> RunRecord:
        """Return the run of a row of the table ``runs``."""
        plain = dict(row)
        for name in ("target", "guards", "policy", "sampling", "options"):
            plain[name] = json.loads(plain[name])
        return cls.model_validate(plain)


class Attempt(Model):
    """One question to a target with its reply and verdicts (role -> verdict).

    ``id`` is the row id, 0 before it is stored; ``tries`` counts from 0; ``position`` is the prompt's place in
    the plan.
    """

    id: int = 0
    key: str
    ask: str
    position: int
    sample: int = 0
    tries: int = 0
    reply: Reply
    verdicts: Mapping[str, Verdict] = Field(default_factory=dict)

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Attempt:
        """Return the attempt of a row of the table ``attempts`` joined with its verdicts."""
        return cls(
            id=row["id"],
            key=row["key"],
            ask=row["ask"],
            position=row["position"],
            sample=row["sample"],
            tries=row["try"],
            reply=Reply.model_validate_json(row["reply"]),
            verdicts={k: Verdict.model_validate(v) for k, v in json.loads(row["verdicts"]).items()},
        )


class Step(Model):
    """What was said in one attempt of an attack.

    ``role`` tells whom the attack asked: the target, or the model that writes for the attacker. ``note`` is
    what the attack says of the attempt (a transform, a strategy).
    """

    attack: str
    role: Literal["target", "attacker"]
    conversation: Conversation
    note: str = ""

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> Step:
        """Return the step of a row of the table ``steps``."""
        said = json.loads(row["conversation"])
        return cls(attack=row["attack"], role=row["role"], conversation=said, note=row["note"])


def ask_key(target: TargetInfo, sampling: Sampling, conversation: Conversation) -> str:
    """Return the digest that equal questions to the same target share, in whatever run."""
    return digest(target.identity, sampling, conversation, length=24)
