"""Prompts: the built-in ones, and files that users bring."""

from harmless.data.files import read_rows
from harmless.data.suites import BUILTIN, Suite, load_suite
from harmless.data.twins import ordinary, twins

__all__ = ["BUILTIN", "Suite", "load_suite", "ordinary", "read_rows", "twins"]
