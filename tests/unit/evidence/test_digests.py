"""Digests are the same whether they are made of values or of their canonical JSON."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harmless.core import Sampling, digest, user
from harmless.core.hashing import canonical, digest_of

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=5,
)


@given(st.lists(PLAIN), st.integers(1, 64))
def test_a_digest_of_values_is_that_of_their_canonical_texts(values: list[object], length: int) -> None:
    assert digest_of(*map(canonical, values), length=length) == digest(*values, length=length)


def test_models_count_by_what_they_hold() -> None:
    values = ("run", 3, user("x"), Sampling(temperature=0.5))
    texts = ('"run"', "3", canonical(user("x")), canonical(Sampling(temperature=0.5)))
    assert digest_of(*texts) == digest(*values) != digest("run", 3, user("y"), Sampling(temperature=0.5))
