"""Train the shipped guards from public data: ``harmless guard train``."""

from harmless.guards.train.run import TrainReport, train

__all__ = ["TrainReport", "train"]
