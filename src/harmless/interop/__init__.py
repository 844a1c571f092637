"""Results of other tools, imported into the evidence and judged by our guards."""

from harmless.interop.imported import Imported, ImportedAttempt
from harmless.interop.importing import Import, Rescored, import_results
from harmless.interop.reading import FORMATS, read

__all__ = ["FORMATS", "Import", "Imported", "ImportedAttempt", "Rescored", "import_results", "read"]
