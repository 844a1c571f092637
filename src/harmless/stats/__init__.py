"""Statistics of safety: pure functions on counts and numpy arrays, with their sources.

Counts are integers, rates lie in [0, 1], confidence is the coverage (0.95). numpy and the standard library
suffice at run time.
"""

from harmless.stats.agreement import (
    class_agreement,
    cohen_kappa,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    tally,
)
from harmless.stats.bounded import Median, bounded_mean, median
from harmless.stats.calibration import Reliability, brier_score, calibration_error, reliability
from harmless.stats.clusters import (
    ClusteredMean,
    ClusteredRate,
    cluster_bootstrap,
    clustered_mean,
    clustered_rate,
    design_effect,
)
from harmless.stats.correction import Corrected, ErrorRates, prediction_powered, rogan_gladen
from harmless.stats.detection import cluster_weights, detection
from harmless.stats.intervals import (
    UNKNOWN,
    Interval,
    binomial,
    clopper_pearson,
    upper_bound,
    wilson,
    with_unassessed,
)
from harmless.stats.paired import McNemar, benjamini_hochberg, holm, mcnemar, paired
from harmless.stats.power import (
    detectable_difference,
    detectable_paired_difference,
    sample_size_pairs,
    sample_size_two_groups,
    sample_size_zero_events,
)
from harmless.stats.ranking import auroc, average_precision, recall_at_fpr, threshold_at_fpr
from harmless.stats.sequential import ConfidenceSequence
from harmless.stats.unseen import Unseen, unseen

__all__ = [
    "UNKNOWN",
    "ClusteredMean",
    "ClusteredRate",
    "ConfidenceSequence",
    "Corrected",
    "ErrorRates",
    "Interval",
    "McNemar",
    "Median",
    "Reliability",
    "Unseen",
    "auroc",
    "average_precision",
    "benjamini_hochberg",
    "binomial",
    "bounded_mean",
    "brier_score",
    "calibration_error",
    "class_agreement",
    "clopper_pearson",
    "cluster_bootstrap",
    "cluster_weights",
    "clustered_mean",
    "clustered_rate",
    "cohen_kappa",
    "design_effect",
    "detectable_difference",
    "detectable_paired_difference",
    "detection",
    "fleiss_kappa",
    "gwet_ac1",
    "holm",
    "krippendorff_alpha",
    "mcnemar",
    "median",
    "paired",
    "prediction_powered",
    "recall_at_fpr",
    "reliability",
    "rogan_gladen",
    "sample_size_pairs",
    "sample_size_two_groups",
    "sample_size_zero_events",
    "tally",
    "threshold_at_fpr",
    "unseen",
    "upper_bound",
    "wilson",
    "with_unassessed",
]
