"""Which failures may be learnt from: what guards and models are measured on has to stay unseen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harmless.attacks.failures import Failure
from harmless.core import Prompt
from harmless.data.catalog import catalog
from harmless.data.overlap import without_contamination
from harmless.guards.train import contamination
from harmless.guards.train.rows import refused

BUILT_IN = "in a built-in evaluation suite"


class Barred:
    """Objectives of a run that may not be learnt from: ``reasons`` holds why, by the objective's id.

    Barred is what is in a built-in suite, exactly or nearly, what is of a set of the catalog that is for
    evaluation only, and what a licence or our own rules keep out of training rows.

    Args:
        failures: of one run.
        suite: name of the run's suite.

    Raises:
        MissingExtraError: the extra ``data``, which finds near-duplicates, is not installed.
    """

    def __init__(self, failures: Sequence[Failure], suite: str) -> None:
        objectives = list({each.objective.id: each.objective for each in failures}.values())
        texts = [each.text for each in objectives]
        free = set(without_contamination(texts, contamination.suites()))
        found = {
            each.id: _reason(each, suite) or ("" if i in free else BUILT_IN)
            for i, each in enumerate(objectives)
        }
        self.reasons = {name: reason for name, reason in found.items() if reason}

    def __contains__(self, failure: Failure) -> bool:
        return failure.objective.id in self.reasons

    def counts(self) -> dict[str, int]:
        """Return why -> how many objectives, the most frequent first."""
        return dict(Counter(self.reasons.values()).most_common())


def _reason(prompt: Prompt, suite: str) -> str:
    names = {suite.casefold(), prompt.source.casefold()}
    for entry in catalog().values():
        if entry.protects() and names & {entry.name.casefold(), entry.title.casefold()}:
            return f"of {entry.name}, which is for evaluation only"
    return refused({"licence": prompt.licence, "source": prompt.source})
