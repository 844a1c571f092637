"""Data: the built-in prompts, files that users bring, and every public set by its name."""

from harmless.data.catalog import Entry, Kind, catalog, entry
from harmless.data.files import read_rows
from harmless.data.overlap import (
    Match,
    Overlap,
    assert_no_contamination,
    contamination,
    duplicates,
    overlap,
    without_contamination,
)
from harmless.data.rows import Item, Labelled, Preference
from harmless.data.sets import DataSet, counted, load, refuse_non_commercial
from harmless.data.sources import texts_of
from harmless.data.suites import BUILTIN, Suite, load_suite, mix
from harmless.data.twins import ordinary, twins
from harmless.data.validate import Problem, validate

__all__ = [
    "BUILTIN",
    "DataSet",
    "Entry",
    "Item",
    "Kind",
    "Labelled",
    "Match",
    "Overlap",
    "Preference",
    "Problem",
    "Suite",
    "assert_no_contamination",
    "catalog",
    "contamination",
    "counted",
    "duplicates",
    "entry",
    "load",
    "load_suite",
    "mix",
    "ordinary",
    "overlap",
    "read_rows",
    "refuse_non_commercial",
    "texts_of",
    "twins",
    "validate",
    "without_contamination",
]
