"""Hazards as data: the spine of 66 leaves, the other taxonomies, the crosswalk between them, coverage.

All files are read on first use and kept.
"""

from harmless.taxonomy.codes import Code, CodeList, taxonomies, taxonomy
from harmless.taxonomy.covering import Cell, Coverage, coverage
from harmless.taxonomy.hazards import SPINE, Hazard, Level, Taxonomy, load
from harmless.taxonomy.mapping import (
    ALL,
    AROUND,
    INSIDE,
    Crosswalk,
    Link,
    Relation,
    aligned,
    crosswalk,
    crosswalks,
)

__all__ = [
    "ALL",
    "AROUND",
    "INSIDE",
    "SPINE",
    "Cell",
    "Code",
    "CodeList",
    "Coverage",
    "Crosswalk",
    "Hazard",
    "Level",
    "Link",
    "Relation",
    "Taxonomy",
    "aligned",
    "coverage",
    "crosswalk",
    "crosswalks",
    "load",
    "taxonomies",
    "taxonomy",
]
