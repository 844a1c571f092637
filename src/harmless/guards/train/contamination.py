"""Keep the prompts of evaluation suites out of the training rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harmless.data.overlap import assert_no_contamination, without_contamination
from harmless.data.suites import Suite, load_suite
from harmless.data.twins import ordinary, twins
from harmless.guards.train.rows import Row, Rows

REASON = "in an evaluation suite"


def suites(further: Sequence[Path | Suite] = ()) -> list[Suite]:
    """Return everything built in that is measured on, and further suites or files; see :func:`load_suite`."""
    built_in = [
        Suite("twins", tuple(twins())),
        Suite("ordinary", (*ordinary("ordinary"), *ordinary("short"))),
    ]
    return built_in + [each if isinstance(each, Suite) else load_suite(str(each)) for each in further]


def cleaned(rows: Rows, evaluations: Sequence[Suite]) -> Rows:
    """Return the rows without those whose prompt a suite has, exactly or nearly; counted in ``left_out``."""
    kept = {name: apart(found, evaluations) for name, found in rows.by_source.items()}
    gone = sum(len(found) - len(kept[name]) for name, found in rows.by_source.items())
    return replace(rows, by_source=kept, left_out=rows.left_out + Counter({REASON: gone}))


def apart(rows: Sequence[Row], evaluations: Sequence[Suite]) -> list[Row]:
    """Return the rows whose prompt no suite has."""
    texts = sorted({row.prompt for row in rows})
    free = {texts[i] for i in without_contamination(texts, evaluations)}
    return [row for row in rows if row.prompt in free]


def certify(rows: Sequence[Row], evaluations: Sequence[Suite]) -> None:
    """Stop with GateFailedError if a row's prompt is in a suite after all."""
    assert_no_contamination(sorted({row.prompt for row in rows}), evaluations)
