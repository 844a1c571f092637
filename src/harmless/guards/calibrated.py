"""``calibrated(guard, FILE)``: another guard's scores as probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Exchange, GuardInfo, Outcome, Policy, Verdict
from harmless.core.judging import judge_safely
from harmless.errors import BadFileError
from harmless.guards import parts as shared
from harmless.guards.calibration import Calibration
from harmless.guards.parts import LEVEL, Part


class Calibrated:
    """Unsafe where the calibrated probability is at least 0.5; findings and labels stay the guard's own."""

    def __init__(self, guard: Part, calibration: Calibration) -> None:
        self._part, self._calibration = guard, calibration
        info = shared.info_of("calibrated", [guard], [calibration.revision])
        self._info = info.model_copy(update={"name": f"calibrated({guard.info.name})"})

    @property
    def info(self) -> GuardInfo:
        """The guard's, with a revision of both it and the calibration."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order."""
        return [self._verdict(each) for each in await judge_safely(self._part.guard, exchanges)]

    async def aclose(self) -> None:
        """Close the guard if it holds something."""
        await shared.aclose((self._part,))

    def _verdict(self, verdict: Verdict) -> Verdict:
        if verdict.score is None or verdict.outcome is Outcome.UNASSESSED:
            return verdict
        score = float(self._calibration(verdict.score))
        outcome = Outcome.UNSAFE if score >= LEVEL else Outcome.SAFE
        return verdict.model_copy(update={"outcome": outcome, "score": score})


def calibrated(guard: str, file: str, policy: Policy | None = None) -> Calibrated:
    """Return the guard of a spec with the calibration in a JSON file.

    Raises:
        BadFileError: the file is no calibration, or that of another guard or revision.
    """
    (part,), calibration = shared.parts_of([guard], policy, least=1), Calibration.read(file)
    if calibration.identity != part.info.identity:
        raise BadFileError(
            file,
            f"It was fitted for another revision of {calibration.guard} than this {part.info.name}.",
            next_step="Fit it again with `harmless guard calibrate`.",
        )
    return Calibrated(part, calibration)
