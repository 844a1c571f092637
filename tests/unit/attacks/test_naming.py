"""Clusters are named by the words that set them apart."""

from __future__ import annotations

from harmless.attacks.naming import cluster_terms


def test_words_of_one_cluster_name_it_and_those_of_all_do_not() -> None:
    names = cluster_terms(
        {
            "a": ["please open the lock", "the lock, please"],
            "b": ["please write the mail", "mail the boss please"],
        }
    )
    assert names == {"a": ["lock", "open"], "b": ["mail", "boss", "write"]}


def test_a_word_that_is_frequent_elsewhere_counts_less() -> None:
    # Weights in cluster 1, A = 16/3: boat 2 log(1 + A/8) = 1.02, oar 1 log(1 + A/1) = 1.85.
    names = cluster_terms({1: ["boat boat oar"], 2: ["boat " * 6, "fish " * 7], 3: []}, most=1)
    assert names == {1: ["oar"], 2: ["fish"], 3: []}


def test_a_single_cluster_is_named_by_its_most_frequent_words() -> None:
    assert cluster_terms({0: ["tea tea milk", "tea"]}, most=2) == {0: ["tea", "milk"]}
    assert cluster_terms({}) == {}
