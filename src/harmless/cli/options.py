"""Options that several commands share."""

# No "from __future__ import annotations": the fields of subclasses in other modules have to find their types.
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from harmless.core import Expect, Policy, Sampling, Target
from harmless.errors import UsageError
from harmless.evidence import Store

if TYPE_CHECKING:
    from harmless.data import Suite

#: A number that has to be 1 or more.
COUNT = Parameter(validator=Number(gte=1))
#: One that must not be negative.
AMOUNT = Parameter(validator=Number(gte=0))
TEMPERATURE = Parameter(validator=Number(gte=0, lte=5))
#: Enough for the letters of an option in any of the usual forms.
ANSWER_TOKENS = 16


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a target is reached and asked."""

    base_url: str | None = None
    """Address of an OpenAI- or Anthropic-compatible endpoint."""
    api_key_env: str | None = None
    """Environment variable that holds the key; default OPENAI_API_KEY or ANTHROPIC_API_KEY."""
    concurrency: Annotated[int | None, COUNT] = None
    """Questions under way at once; default: what suits the target."""
    timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 120.0
    """Seconds to wait for one reply."""
    input_price: Annotated[float | None, AMOUNT] = None
    """Price of an endpoint in US dollars for a million tokens of input, for a budget in usd."""
    output_price: Annotated[float | None, AMOUNT] = None
    """The same for a million tokens of output."""
    temperature: Annotated[float, TEMPERATURE] = 0.0
    """0 is greedy."""
    top_p: Annotated[float, Parameter(validator=Number(gt=0, lte=1))] = 1.0
    """Nucleus sampling."""
    max_tokens: Annotated[int | None, COUNT] = None
    """Longest reply in tokens; default 64 for the embedded model, 256 for others, 16 to choose an option."""
    seed: int = 0
    """Seed of the sampling, where the target knows one."""
    system: str | None = None
    """System prompt."""

    def sampling(self, target: Target, suite: "Suite | None" = None) -> Sampling:
        """Return the decoding parameters, with those that suit target and suite where the user says nothing."""
        usual = target.info.reply_tokens
        if suite and all(prompt.expect is Expect.CHOOSE for prompt in suite.prompts):
            usual = ANSWER_TOKENS
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens or usual,
            seed=self.seed,
            system=self.system,
        )

    def target(self, spec: str, policy: Policy) -> Target:
        """Return the target that ``spec`` names; UsageError also if one of the two prices is missing."""
        from harmless import guards, targets

        if (self.input_price is None) != (self.output_price is None):
            raise UsageError("One of the two prices is missing.", "Give --input-price and --output-price.")
        options = targets.TargetOptions(
            base_url=self.base_url,
            api_key_env=self.api_key_env,
            concurrency=self.concurrency,
            timeout_s=self.timeout,
            input_price=self.input_price,
            output_price=self.output_price,
            policy=policy,
        )
        return targets.load(spec, options, guards=lambda name: guards.load(name, policy))


def _default_workspace() -> Path:
    return Path(os.environ.get("HARMLESS_WORKSPACE", ".harmless"))


Workspace = Annotated[
    Path | None, Parameter(help="Folder of the evidence; default $HARMLESS_WORKSPACE or .harmless.")
]


def open_store(workspace: Path | None) -> Store:
    """Return the evidence store of a workspace."""
    return Store((workspace or _default_workspace()) / "evidence.db")
