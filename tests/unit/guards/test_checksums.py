"""Numbers with a check digit are told from rows of digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.guards.checksums import iban, luhn


@pytest.mark.parametrize(
    "number", ["4111 1111 1111 1111", "378282246310005", "5555-5555-5555-4444", "6011111111111117"]
)
def test_published_test_cards_pass(number):
    assert luhn(number)


@pytest.mark.parametrize("number", ["4111 1111 1111 1112", "1234", "0" * 16, "", "4" * 20])
def test_other_rows_of_digits_fail(number):
    assert not luhn(number)


@given(st.lists(st.integers(0, 9), min_size=15, max_size=15), st.integers(0, 15), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(digits, place, error):
    last = next(d for d in range(10) if luhn("".join(map(str, [*digits, d]))) or len({*digits, d}) == 1)
    number = [*digits, last]
    number[place] = (number[place] + error) % 10
    assert not luhn("".join(map(str, number)))


@pytest.mark.parametrize(
    "number", ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "FR1420041010050500013M02606"]
)
def test_published_example_accounts_pass(number):
    assert iban(number)


@pytest.mark.parametrize("number", ["DE89 3704 0044 0532 0130 01", "GB82", "", "1E89370400440532013000"])
def test_other_letters_and_digits_fail(number):
    assert not iban(number)
