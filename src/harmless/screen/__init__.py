"""Screens what a model is to be fine-tuned on for poison, before the training.

Sources: Tran et al. 2018 (spectral signatures); Bowen et al. 2024 and Souly et al. 2025 (poisoning of
fine-tuning sets: a few hundred rows suffice); Wan et al. 2023 (triggers in instruction tuning).
"""

from harmless.data.lessons import Lesson, read_lessons
from harmless.screen.screening import Guards, Screening, screen
from harmless.screen.verdicts import Kind, Reason

__all__ = ["Guards", "Kind", "Lesson", "Reason", "Screening", "read_lessons", "screen"]
