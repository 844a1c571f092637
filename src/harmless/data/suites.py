"""A suite is a named list of prompts: a built-in one, or a file that the user brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harmless.core import Expect, Prompt
from harmless.data.catalog import catalog, is_non_commercial
from harmless.data.files import is_data_file
from harmless.data.own import prompts_of
from harmless.data.prose import prose
from harmless.data.sampling import shares, stratified
from harmless.data.sets import load
from harmless.data.synthetic import synthetic
from harmless.data.twins import ordinary, twins
from harmless.errors import UnknownNameError, UsageError

#: Built-in suites: name -> pairs of twins a hazard (None for all), ordinary prompts, what it is for.
BUILTIN: Mapping[str, tuple[int | None, int, str]] = {
    "quick": (1, 20, "one pair of twins for each of the 66 hazards and 20 ordinary prompts"),
    "standard": (2, 50, "two pairs of twins for each of the 66 hazards and 50 ordinary prompts"),
    "twins": (None, 0, "all pairs of twins"),
    "prose": (0, 0, "paragraphs of plain English, for the perplexity of a target that gives likelihoods"),
}


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of prompts.

    ``source`` says where they come from; ``metric`` how their replies are scored: ``safety`` (unsafe rate and
    over-refusal) or the metric of a set of the catalog (``salad_mcq``, ``bbq``, ...).
    """

    name: str
    prompts: tuple[Prompt, ...]
    source: str = ""
    metric: str = "safety"

    @property
    def non_commercial(self) -> bool:
        """Whether any prompt is under a licence that forbids commercial use."""
        return any(is_non_commercial(licence) for licence in {p.licence for p in self.prompts})

    @property
    def synthetic(self) -> int:
        """How many prompts a model wrote; no suite has any but a file that was named."""
        return synthetic(self.prompts)

    def keeping(self, prompts: Iterable[Prompt]) -> Suite:
        """Return the same suite with these prompts only."""
        return replace(self, prompts=tuple(prompts))

    def limited(self, limit: int, seed: int = 0, weights: Mapping[str, float] | None = None) -> Suite:
        """Return a sample of about ``limit`` prompts, stratified by hazard and source; pairs stay together.

        See :func:`harmless.data.sampling.stratified`.
        """
        return self.keeping(stratified(self.prompts, limit, seed=seed, weights=weights))

    def in_languages(self, *languages: str) -> Suite:
        """Return the prompts in these languages (``en``, ``fr``; a region behind it does not count).

        Raises:
            UsageError: there is none.
        """
        wanted = {_language(language) for language in languages}
        kept = [p for p in self.prompts if _language(p.language) in wanted]
        if not kept:
            there = ", ".join(sorted({_language(p.language) for p in self.prompts}))
            raise UsageError(
                f"No prompt of {self.name} is in {', '.join(sorted(wanted))}.", f"There is: {there}."
            )
        return self.keeping(kept)


def mix(
    suites: Sequence[Suite], weights: Sequence[float] = (), *, limit: int | None = None, seed: int = 0
) -> Suite:
    """Return one suite of several, in the ratio of ``weights`` (equal if none), each part stratified.

    Args:
        limit: about how many prompts in all; None takes the largest mixture that keeps the ratio.

    Raises:
        UsageError: no suite, suites with different metrics, a weight that is not above 0, as many weights as
            there are suites not given, or a limit that the parts cannot fill.
    """
    weights = weights or [1.0] * len(suites)
    if len({suite.metric for suite in suites}) != 1 or len(weights) != len(suites):
        raise UsageError("Only suites of one metric mix, each with one weight.", "Check them one by one.")
    taken = shares([len(suite.prompts) for suite in suites], weights, limit)
    parts = [suite.limited(n, seed) for suite, n in zip(suites, taken, strict=True) if n]
    prompts = {prompt.id: prompt for part in parts for prompt in part.prompts}
    if len(prompts) < sum(len(part.prompts) for part in parts):
        raise UsageError("The suites have prompts with the same id.", "Mix different suites.")
    name = "+".join(suite.name for suite in suites)
    return Suite(name, tuple(prompts.values()), "; ".join(suite.source for suite in suites), suites[0].metric)


def load_suite(name: str, path: str | Path | None = None) -> Suite:
    """Return the suite of that name: a built-in one, a set of the catalog, or a file of the user.

    A user's file has the columns ``prompt`` (or ``messages``, JSON only) and ``expect`` (``refuse``,
    ``answer``, or ``choose`` with ``options`` and the letters of the right ones as ``correct``), and may have
    ``id``, ``hazard`` (key, code or name), ``pair``, ``cluster``, ``source``, ``licence``, ``language``, and
    ``objective``: what a disguised prompt is after, in view of which the reply is judged; other columns are
    ignored. A row with ``id``, ``hazard``, ``harmful`` and ``benign`` is a pair of twins.

    Args:
        name: a built-in suite (:data:`BUILTIN`), a name of the catalog, or the path of a user's file.
        path: for a set of the catalog, a file in its published schema; None reads it from the hub.

    Raises:
        UnknownNameError: neither a suite nor a set nor a file, or a row names an unknown hazard.
        UsageError: a set that holds no prompts to ask, or a path for a built-in suite.
        BadFileError: a row is not what it should be; names the line.
        UnreachableError: the hub is out of reach.
    """
    if path is None and name in BUILTIN:
        pairs, plain, source = BUILTIN[name]
        if name == "prose":
            return Suite(name, tuple(prose()), source, "perplexity")
        return Suite(name, (*twins(pairs), *ordinary("ordinary", plain)), source)
    if name in catalog():
        found = load(name, path=path)
        return Suite(name, found.prompts, found.origin, found.entry.metric)
    if path is not None:
        raise UsageError(f"'{name}' is read without a path.", "Give a path for sets of the catalog only.")
    file = Path(name)
    if not is_data_file(name) and not file.exists():
        raise UnknownNameError("suite", name, [*BUILTIN, *catalog(), "FILE.jsonl", "FILE.csv"])
    prompts = tuple(prompts_of(file))
    asks = any(prompt.expect is Expect.CHOOSE for prompt in prompts)
    return Suite(file.name, prompts, str(file), "multiple_choice" if asks else "safety")


def _language(code: str) -> str:
    return code.replace("_", "-").partition("-")[0].casefold()
