"""Measure guards on labelled rows, as they run: quality, calibration, robustness, latency, memory, cost."""

from harmless.guards.bench.asking import Log
from harmless.guards.bench.model import Bench, Estimate, GuardResult, Settings
from harmless.guards.bench.rows import Rows, joined, load_rows
from harmless.guards.bench.run import bench

__all__ = ["Bench", "Estimate", "GuardResult", "Log", "Rows", "Settings", "bench", "joined", "load_rows"]
