"""``harmless guard calibrate``: the file that ``calibrated(GUARD, FILE)`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from harmless import guards
from harmless.check import load_policy
from harmless.cli.console import err, print_json
from harmless.core import Exchange, GuardInfo, Policy, Verdict
from harmless.core.judging import judge_safely
from harmless.errors import UnreachableError, UsageError
from harmless.guards.bench import joined, load_rows
from harmless.guards.calibration import Method, fit_calibration


def calibrate(
    *,
    guard: str,
    data: tuple[str, ...],
    out_: Annotated[Path, Parameter(name="--out")],
    method: Method = "isotonic",
    policy: Path | None = None,
    json: bool = False,
) -> None:
    """Fit a guard's scores to the share of rows with that score that are unsafe.

    The guard `calibrated(GUARD, FILE)` then gives probabilities, as `weighted` wants them. They hold for data
    like the rows given, so report on others.

    Args:
        guard: a name of `harmless guard list`, with its arguments in brackets.
        data: labelled rows, as for `harmless guard bench`; several are taken together.
        out_: JSON file to write.
        method: isotonic takes any rising form and wants about a thousand rows; platt, a sigmoid, fewer.
        policy: YAML file for guards that are made of others; see `harmless policy`.
        json: print one JSON document.
    """
    rows = joined([load_rows(name) for name in data]).items
    info, verdicts = anyio.run(_judged, guard, [row.exchange for row in rows], load_policy(policy))
    known = [(each.score, bool(row.unsafe)) for row, each in zip(rows, verdicts, strict=True)]
    known = [(score, unsafe) for score, unsafe in known if score is not None]
    if rows and not known:
        raise UnreachableError(f"{guard} could assess no row: {verdicts[0].reason}.", "Check the guard.")
    scores, labels = zip(*known, strict=True) if known else ((), ())
    try:
        fitted = fit_calibration(scores, labels, info, method)
        fitted.write(out_)
    except ValueError as error:
        raise UsageError(f"{guard}: {error}.", "Give --data with more rows of both labels.") from None
    except OSError as error:
        raise UsageError(f"{out_} cannot be written: {error.strerror}.", "Choose another --out.") from None
    told = {"unsafe": fitted.unsafe, "safe": fitted.safe, "unassessed": len(rows) - len(known)}
    if json:
        print_json({"guard": guard, "out": str(out_), "method": method, **told})
        return
    err.print("Fitted on " + ", ".join(f"{count} {name}" for name, count in told.items()))
    err.print(f"Wrote {out_}; use it as: calibrated({guard}, {out_})", markup=False)


async def _judged(spec: str, exchanges: list[Exchange], rules: Policy) -> tuple[GuardInfo, list[Verdict]]:
    guard = guards.load(spec, rules)
    return guard.info, await judge_safely(guard, exchanges)
