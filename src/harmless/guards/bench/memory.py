"""How far the memory of this process rises while a guard works."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
_MB = 1024 * 1024


class Peak:
    """The peak of resident memory from the making of this object on, over what was resident then.

    On Linux the kernel's mark of the highest resident set (``VmHWM``) is reset first (``proc(5)``, writing 5 to
    ``clear_refs``). Elsewhere, or where that is forbidden, only a rise over the whole process's peak shows
    (``getrusage``), which is less than the truth once anything was larger. ``how`` says which.
    """

    def __init__(self) -> None:
        self.how = "getrusage: rise over the process's earlier peak"
        self._before = _highest()
        with suppress(OSError):
            _RESET.write_text("5")
            self._before = _read("VmRSS") or self._before
            self.how = "VmHWM: peak of resident memory, reset before the guard's first call"

    def risen(self) -> float:
        """Return the megabytes (2**20 bytes) by which the peak lies above the beginning, never below 0."""
        return max(_highest() - self._before, 0) / _MB


def _highest() -> int:
    found = _read("VmHWM")
    if found is not None:
        return found
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _read(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s*(\d+) kB", _STATUS.read_text(), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
