"""Options of ``harmless align``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from harmless.cli.options import COUNT
from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.align.settings import Tuning

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Training:
    """How the weights are changed; what is not said suits the method."""

    minutes: float | None = None
    """Train for so long at most; the number of steps is fitted before the first one. Default on a CPU: 12,
    unless --epochs are given."""
    epochs: float | None = None
    """Pass over the examples so often at most."""
    weights: Literal["lora", "qlora", "full"] = "lora"
    """Train adapters, adapters over a base in 4 bits (on a GPU), or all weights."""
    rate: float | None = None
    """Peak learning rate."""
    batch: int | None = None
    """Examples a step."""
    rank: int | None = None
    """Rank of the adapters."""
    frozen: float | None = None
    """Share of the layers, from the first on, that stay as they are, such as 0.6: faster."""
    beta: float | None = None
    """How strongly a preference is held to the model before."""
    gamma: float | None = None
    """By how much the good reply is to be preferred (simpo), in units of beta's margin."""
    nll: float | None = None
    """Weight of the good reply's likelihood beside a preference."""
    hold: float | None = None
    """Weight of how far the model moves on its own replies and on plain text, default 1; with 0 it imitates
    its own replies, and plain text is not looked at."""
    smoothing: float | None = None
    """Share of preferences that may be the wrong way round (dpo)."""
    opening: int | None = None
    """Learn three in four good replies up to so many tokens only: faster, and the decision falls there."""
    decision: int | None = None
    """Look at so many tokens of both replies of a preference, from where they part."""
    tolerated: float | None = None
    """Share of benign prompts held back that may be refused, default .15 (dpo, simpo) or .25 (gate). These are
    twins of harmful prompts, and harder than what users ask."""
    longest: int | None = None
    """Leave out prompts of more tokens."""
    seed: int = 0
    """Of samples, order and first values."""

    @property
    def endless(self) -> bool:
        """Whether the user says nothing of how long it may take."""
        return self.minutes is None and self.epochs is None

    def tuning(self, method: str) -> Tuning:
        """Return the settings of a method with what the user says.

        Raises:
            UsageError: an option is out of range, or would have no effect.
        """
        from harmless.align.methods import method as known

        tuning = known(method).tuning(**asdict(self))
        idle = [
            f"--{name}" for name, value in asdict(self).items() if value is not None and name in tuning.idle
        ]
        if idle:
            beside = " with --weights full" if self.weights == "full" else ""
            raise UsageError(f"{', '.join(idle)} would have no effect on {method}{beside}.", "Leave it out.")
        return tuning


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where prompts come from."""

    data: Several = ()
    """Files of examples or prompts, runs of check or attack (their failures), sets of the catalog, `pairs` and
    `ordinary`; default: our own contrast pairs and everyday prompts."""
    limit: Annotated[int | None, COUNT] = None
    """At most so many examples of each source."""
    evaluation: Annotated[
        tuple[Path, ...], Parameter(consume_multiple=True, negative="", show_default=False)
    ] = ()
    """Files of prompts that the model will be measured on; the built-in suites are kept out in any case."""
    allow_non_commercial: bool = False
    """Learn from rows whose licence forbids commercial use."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Data(Sources):
    """What is learned from."""

    reply_tokens: Annotated[int, COUNT] = 12
    """How much of the model's own replies to benign prompts it is held to, in tokens."""
    openings: Annotated[int, COUNT] = 1
    """In how many ways refusals may begin; a small model learns few ways sooner."""
    critic: str | None = None
    """Target that criticises and revises (cai) or judges (rlaif); default: the model itself."""
    reviser: str | None = None
    """Target that revises instead of the critic (cai)."""
    rounds: Annotated[int, COUNT] = 1
    """Critiques and revisions of each reply (cai)."""
    constitution: Path | None = None
    """YAML file of principles; default: ours."""


def asked_for(target: str, method: str, data: Sources, *options: Any) -> dict[str, Any]:
    """Return what a command asks for as JSON has it: its options, and digests of the files they name."""
    import json

    from harmless.targets.models import sha256

    found = {"target": target, "method": method}
    for each in (data, *options):
        found |= asdict(each)
    named = [Path(each.partition("=")[2] or each) for each in data.data]
    named += [*data.evaluation, *filter(None, [getattr(data, "constitution", None)])]
    found |= {f"SHA-256 of {path}": sha256(path)[:16] for path in named if path.is_file()}
    return dict(json.loads(json.dumps(found, default=str)))
