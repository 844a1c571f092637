"""``urls(allow=..., deny=...)``: addresses that mislead, run, or carry text away."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

import yaml

from harmless.core import Exchange, Finding, GuardInfo, Verdict, digest
from harmless.errors import BadFileError, UsageError
from harmless.guards.filters import Filter, arguments, text_of
from harmless.guards.normalise import plain

ENGINE = 1
"""Part of the revision; changes when the same text may get another verdict."""
CARRIES = 24
"""Characters of a query, the end of a path or a label of a host from which they may be text carried away."""
MOST = 100
"""Addresses of one text that are looked at."""

_ADDRESS = re.compile(
    r"(?<![\w+.-])(?:(?:https?|ftp|wss?)://[^\s<>\"'`|\\^]{1,2048}|(?:javascript|vbscript):[^\s\"'>)]{1,2048}"
    r"|data:[\w.+-]{1,40}/[\w.+-]{1,60}[;,][^\s\"'>)]{0,2048}|data:(?:;base64)?,[^\s\"'>)]{1,2048})",
    re.IGNORECASE,
)
_IMAGE = re.compile(
    r"(?:!\[[^\]]{0,300}\]\(\s{0,3}<?|<img\b[^>]{0,300}?\bsrc\s{0,3}=\s{0,3}['\"]?|"
    r"<(?:iframe|script|link|video|audio|embed|source)\b[^>]{0,300}?\b(?:src|href)\s{0,3}=\s{0,3}['\"]?)$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"^ {0,3}\[([^\]\n]{1,100})\]:\s{0,3}<?$", re.MULTILINE)
_USED = re.compile(r"!\[([^\]\n]{0,300})\](?:\[([^\]\n]{0,100})\])?(?![\](:])")
_ODD = re.compile(r"(?:0x[0-9a-f]{1,8}|0[0-7]{1,11}|\d{1,10})(?:\.(?:0x[0-9a-f]{1,8}|\d{1,10})){0,3}")
_PUNYCODE = "xn--"


class Urls(Filter):
    """Looks at the addresses in a text; ``urls.yaml`` says what may be wrong with one, and how risky that is.

    Args:
        allow: hosts that may be named, their subdomains included; any if there is none.
        deny: hosts that must not be named, nor their subdomains.
    """

    def __init__(self, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> None:
        self._allow, self._deny = sorted(map(_folded, allow)), sorted(map(_folded, deny))
        self._risks = risks()
        super().__init__(
            GuardInfo(
                name="urls",
                revision=digest(ENGINE, self._risks, self._allow, self._deny),
                sees="both",
                licence="Apache-2.0",
                batch_size=256,
            )
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return what is wrong with the addresses of the text."""
        text = text_of(exchange)
        shown = {_name(match[2] or match[1]) for match in _USED.finditer(text)}
        found = []
        for number, match in enumerate(_ADDRESS.finditer(text)):
            if number == MOST:
                break
            address = match[0].rstrip(".,;:!?)]")
            span = (match.start(), match.start() + len(address))
            named = dict.fromkeys(self._wrong(address, _embedded(text, match.start(), shown)))
            found += [Finding(rule=f"url.{name}", span=span, score=self._risks[name]) for name in named]
        return self.found(found, "no suspicious address")

    def _wrong(self, address: str, embedded: bool) -> Iterator[str]:
        """Yield what is wrong with one address."""
        scheme = address.partition(":")[0].lower()
        if scheme in ("javascript", "vbscript"):
            yield "script"
        elif scheme == "data":
            kind = re.split("[;,]", address[5:], maxsplit=1)[0].lower()
            yield "data_document" if kind in self._risks["documents"] else "data_other"
        else:
            try:
                parts = urlsplit(address)
                host = _folded(parts.hostname or "")
            except ValueError:
                yield "malformed"
                return
            yield from self._listed(host)
            yield from self._host(host)
            yield from _carried(parts, host, embedded)
            if parts.username:
                yield "user_part"

    def _listed(self, host: str) -> Iterator[str]:
        if _within(host, self._deny):
            yield "denied"
        elif self._allow and not _within(host, self._allow):
            yield "not_allowed"
        if _within(host, self._risks["shorteners"]):
            yield "shortener"

    def _host(self, host: str) -> Iterator[str]:
        """Yield what is wrong with a host."""
        if host in self._risks["metadata"]:
            yield "metadata_host"
            return
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            if _ODD.fullmatch(host):
                yield "odd_ip"
        else:
            yield "public_ip" if ip.is_global else "private_ip"
        for label in host.split("."):
            if label.startswith(_PUNYCODE):
                try:
                    label = label.encode().decode("idna")
                except UnicodeError:
                    yield "malformed"
            if not label.isascii():
                yield "homograph" if _looks_like_ours(label) else "international"


def _carried(parts: SplitResult, host: str, embedded: bool) -> Iterator[str]:
    """Yield whether an address takes text along, and so gives it to its host."""
    values = [value for _, value in parse_qsl(parts.query)] or [parts.query]
    pieces = [*values, parts.path.rpartition("/")[2].partition(".")[0], *host.split(".")]
    full = any(len(piece) >= CARRIES for piece in pieces) or "{" in parts.query
    if embedded:
        yield "image_with_data" if full or any(values) else "image"
    elif any(len(value) >= 2 * CARRIES for value in values):
        yield "link_with_data"


def _looks_like_ours(label: str) -> bool:
    """Return whether letters of other scripts stand for Latin ones: among them, or all of them look-alikes."""
    scripts = {unicodedata.name(c, "?").partition(" ")[0] for c in label if c.isalpha()}
    if scripts == {"LATIN"}:
        return False
    return "LATIN" in scripts or plain(label).text.isascii()


def _embedded(text: str, start: int, shown: set[str]) -> bool:
    """Return whether what shows the text would fetch the address that starts there."""
    before = text[max(0, start - 400) : start]
    reference = next(reversed(list(_REFERENCE.finditer(before))), None)
    named = reference is not None and reference.end() == len(before) and _name(reference[1]) in shown
    return named or bool(_IMAGE.search(before))


def _name(reference: str) -> str:
    return " ".join(reference.casefold().split())


def _within(host: str, hosts: Sequence[str]) -> bool:
    return any(host == each or host.endswith(f".{each}") for each in hosts)


def _folded(host: str) -> str:
    return host.strip().strip(".").casefold()


def urls(*given: str) -> Urls:
    """Return the guard.

    Args:
        *given: ``allow=`` and ``deny=`` with hosts, separated by ``|``, or with a file that names one a line.

    Raises:
        UsageError: an option is unknown, or something else is given.
        BadFileError: a file cannot be read.
    """
    words, options = arguments("urls", given, ("allow", "deny"))
    if words:
        raise UsageError(f"Guard 'urls' does not take '{words[0]}'.", "Write urls(allow=HOST|HOST, deny=FILE).")
    return Urls(**{name: _hosts(value) for name, value in options.items()})


def _hosts(value: str) -> list[str]:
    path = Path(value)
    if not path.is_file():
        return [each.strip() for each in value.split("|") if each.strip()]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(path, f"It cannot be read: {error}.", next_step="Write one host a line.") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


@cache
def risks() -> dict[str, Any]:
    """Return what ``urls.yaml`` says."""
    text = resources.files(__package__).joinpath("urls.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found
