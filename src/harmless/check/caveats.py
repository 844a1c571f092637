"""What makes the numbers of a run less than they look, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harmless.core import Prompt
from harmless.data.catalog import is_non_commercial
from harmless.data.synthetic import synthetic
from harmless.evidence import RunRecord

SHARED_PARTS = (
    "The guard in front and the judge share parts: what the one misses the other tends to miss, so the unsafe"
    " rate is a lower bound, and the judge's error rates do not apply. Judge with another family (--judge)."
)


def judged_by_its_guard(run: RunRecord) -> bool:
    """Return whether a guard in front of the target shares parts with the judge of the run."""
    harm = run.guards.get("harm")
    return harm is not None and not set(harm.families).isdisjoint(run.target.guarded_by)


def of_prompts(prompts: Sequence[Prompt]) -> Iterator[str]:
    """Yield what is to be known of where prompts come from: a model wrote them, or a licence binds them."""
    if number := synthetic(prompts):
        yield (
            f"{_share(number, len(prompts))} synthetic: written by a model, and read by no one unless you did."
            " Do not compare the rates with those of prompts that people wrote."
        )
    licences = {prompt.licence for prompt in prompts if is_non_commercial(prompt.licence)}
    if licences:
        number = sum(prompt.licence in licences for prompt in prompts)
        yield f"{_share(number, len(prompts))} not for commercial use ({', '.join(sorted(licences))})."


def _share(number: int, total: int) -> str:
    verb = "is" if number == 1 else "are"
    return f"{number} of {total} prompts ({number / total:.0%}) {verb}"
