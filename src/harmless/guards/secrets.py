"""``secrets``: keys, tokens and passwords, by their issuers' formats and by how random a token looks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice, pairwise

from harmless.core import Exchange, Finding, GuardInfo, Verdict, digest
from harmless.guards.filters import Filter
from harmless.guards.rules import Rules, Side, rules

ENGINE = 1
"""Part of the revision; changes when the same text may get another verdict."""

RANDOM_BITS = 3.6
"""Entropy in bits a character from which a token of mixed letters looks random; one of 20 characters drawn from
62 has 4.1 on average. detect-secrets (Yelp) has 4.5, and 3.0 for hexadecimal, of longer strings in quotes."""
HEX_BITS = 3.0
CHANGES = 0.31
"""Share of characters of another kind (capital, small letter, digit) than the one before from which a token
looks random; a small letter behind a capital does not count, since words begin so. It is about .45 where
characters are drawn at random, .22 in ``convertUtf8ToLatin1StringQuickly``."""
CHANGES_SAID = 0.15
"""The same behind a word that says that it is a key; there ``HEX_BITS`` are enough, too."""
SCORE, LIKELY = 0.4, 0.7
"""Of a random token, and of one behind a word that says what it is."""
NEAR = 40
"""Characters in front of a token in which such a word counts."""
MOST = 20
"""Random tokens reported of one text."""

_TOKEN = re.compile(r"(?<![\w+/=.@-])[A-Za-z0-9+/_-]{20,200}={0,2}(?![\w+/=@-])")
_HEX = re.compile(r"[0-9a-fA-F]+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SAYS_SO = re.compile(
    r"(?:secret|token|passw(?:or)?d|passphrase|credential|bearer|authori[sz]ation|signature"
    r"|(?:api|access|private|auth|account|encryption|signing|licen[sc]e)[ _-]{0,2}key|\bkey)\b[^\n]{0,20}$",
    re.IGNORECASE,
)


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters of a text, in bits a character; 0 for an empty one."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


class Secrets(Filter):
    """Finds secrets in the reply if there is one, else in the prompt.

    Known formats come from ``rulebook/secrets.yaml``. A token that merely looks random is a finding below the
    threshold, since it may be a digest or an id, unless words in front of it say that it is a key. Secrets are
    of no hazard.
    """

    def __init__(self, known: Rules) -> None:
        self._known = known
        revision = digest(ENGINE, known.info.revision)
        super().__init__(
            GuardInfo(name="secrets", revision=revision, sees="both", licence="Apache-2.0", batch_size=256)
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return what is found; the score is that of the surest secret."""
        reply = exchange.reply
        found = self.find(exchange.prompt) if reply is None else self.find(reply, "reply")
        return self.found(found, "no secret found")

    def find(self, text: str, side: Side = "prompt") -> list[Finding]:
        """Return the secrets in a text; known formats win over random tokens."""
        found = self._known.find(text, side)
        taken = [finding.span for finding in found if finding.span]
        free = (each for each in random_tokens(text) if not any(_overlap(each.span, span) for span in taken))
        return [*found, *islice(free, MOST)]


def random_tokens(text: str) -> Iterator[Finding]:
    """Yield the tokens of 20 and more characters that look random."""
    for match in _TOKEN.finditer(text):
        token = match[0].rstrip("=")
        said = bool(_SAYS_SO.search(text, max(0, match.start() - NEAR), match.start()))
        if _looks_random(token, said):
            yield Finding(rule="secret.random", span=match.span(), score=LIKELY if said else SCORE)


def _looks_random(token: str, said: bool) -> bool:
    if _HEX.fullmatch(token) or _UUID.fullmatch(token):
        # Digests and ids are as random as keys: only the words in front can tell.
        return said and entropy(token) >= HEX_BITS
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "" for c in token]
    if "d" not in kinds or not {"u", "l"} & set(kinds):
        return False
    letters = [kind for kind in kinds if kind]
    changes = sum(a != b and a + b != "ul" for a, b in pairwise(letters))
    bits, share = (HEX_BITS, CHANGES_SAID) if said else (RANDOM_BITS, CHANGES)
    return entropy(token) >= bits and changes >= share * (len(letters) - 1)


def _overlap(a: tuple[int, int] | None, b: tuple[int, int] | None) -> bool:
    return a is not None and b is not None and a[0] < b[1] and b[0] < a[1]


def secrets() -> Secrets:
    """Return the guard."""
    return Secrets(rules("secrets"))
