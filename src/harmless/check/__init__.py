"""Plan, run, grade: how harmful a target is, measured."""

from harmless.check.compare import compare
from harmless.check.grades import breakdown, grade
from harmless.check.plan import Budget, Plan
from harmless.check.policy import load_policy
from harmless.check.run import CheckOptions, check, load_judges
from harmless.check.runner import Progress
from harmless.check.summary import (
    Breakdown,
    Cell,
    Change,
    Comparison,
    HazardChange,
    Measure,
    Part,
    Rate,
    Summary,
)

__all__ = [
    "Breakdown",
    "Budget",
    "Cell",
    "Change",
    "CheckOptions",
    "Comparison",
    "HazardChange",
    "Measure",
    "Part",
    "Plan",
    "Progress",
    "Rate",
    "Summary",
    "breakdown",
    "check",
    "compare",
    "grade",
    "load_judges",
    "load_policy",
]
