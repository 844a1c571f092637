"""Plan, run, grade: how harmful a target is, measured."""

from harmless.check.compare import compare
from harmless.check.grades import grade
from harmless.check.plan import Budget, Plan
from harmless.check.policy import load_policy
from harmless.check.run import CheckOptions, check, load_judges
from harmless.check.runner import Progress
from harmless.check.summary import Cell, Change, Comparison, HazardChange, Rate, Summary

__all__ = [
    "Budget",
    "Cell",
    "Change",
    "CheckOptions",
    "Comparison",
    "HazardChange",
    "Plan",
    "Progress",
    "Rate",
    "Summary",
    "check",
    "compare",
    "grade",
    "load_judges",
    "load_policy",
]
