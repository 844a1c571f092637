"""Arithmetic that tells a number with a meaning from a row of digits."""

from __future__ import annotations

import re


def luhn(text: str) -> bool:
    """Return whether the digits in ``text`` are a payment card number by ISO/IEC 7812-1 (12 to 19, mod 10)."""
    digits = [int(digit) for digit in re.sub(r"\D", "", text)]
    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """Return whether ``text`` is an account number by ISO 13616 (check digits by ISO 7064, mod 97-10)."""
    compact = re.sub(r"\W", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", compact):
        return False
    return int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1
