"""Encodings of a text's bytes (UTF-8); the inverses raise ValueError for what is not in the encoding."""

from __future__ import annotations

import base64
import binascii
import html
import quopri
import re
from urllib.parse import unquote

_LINE = 45


def to_base64(text: str) -> str:
    """Base64 (RFC 4648)."""
    return base64.b64encode(text.encode()).decode()


def from_base64(text: str) -> str:
    """Read Base64; an end that was cut off is left out."""
    code = "".join(text.split())
    return base64.b64decode(code[: len(code) // 4 * 4], validate=True).decode()


def to_base32(text: str) -> str:
    """Base32 (RFC 4648)."""
    return base64.b32encode(text.encode()).decode()


def from_base32(text: str) -> str:
    """Read Base32; an end that was cut off is left out."""
    code = "".join(text.split())
    return base64.b32decode(code[: len(code) // 8 * 8]).decode()


def to_hex(text: str) -> str:
    """Two hexadecimal digits a byte."""
    return text.encode().hex()


def from_hex(text: str) -> str:
    """Read hexadecimal digits, with or without spaces."""
    return bytes.fromhex(text).decode()


def to_ascii85(text: str) -> str:
    """Ascii85 as in PostScript, without frame."""
    return base64.a85encode(text.encode()).decode()


def from_ascii85(text: str) -> str:
    """Read Ascii85."""
    return base64.a85decode(text.encode("ascii")).decode()


def to_binary(text: str) -> str:
    """Eight binary digits a byte, spaces between."""
    return " ".join(f"{byte:08b}" for byte in text.encode())


def from_binary(text: str) -> str:
    """Read binary digits."""
    return bytes(int(group, 2) for group in text.split()).decode()


def to_octal(text: str) -> str:
    """Three octal digits a byte, spaces between."""
    return " ".join(f"{byte:03o}" for byte in text.encode())


def from_octal(text: str) -> str:
    """Read octal digits."""
    return bytes(int(group, 8) for group in text.split()).decode()


def to_codes(text: str) -> str:
    """Decimal Unicode code points, spaces between."""
    return " ".join(str(ord(character)) for character in text)


def from_codes(text: str) -> str:
    """Read decimal code points."""
    return "".join(_character(int(code)) for code in text.split())


def to_url(text: str) -> str:
    """Percent encoding (RFC 3986) of every byte."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def from_url(text: str) -> str:
    """Read percent encoding."""
    return unquote(text, errors="strict")


def to_quoted_printable(text: str) -> str:
    """Quoted-printable (RFC 2045) of every byte."""
    return "".join(f"={byte:02X}" for byte in text.encode())


def from_quoted_printable(text: str) -> str:
    """Read quoted-printable."""
    return quopri.decodestring(text.encode()).decode()


def to_uuencode(text: str) -> str:
    """Uuencode, lines of 45 bytes, without its first and last line."""
    data = text.encode()
    lines = (binascii.b2a_uu(data[at : at + _LINE], backtick=True) for at in range(0, len(data), _LINE))
    return b"".join(lines).decode()


def from_uuencode(text: str) -> str:
    """Read uuencoded lines."""
    return b"".join(binascii.a2b_uu(line) for line in text.splitlines() if line).decode()


def to_html_entities(text: str) -> str:
    """Numeric character references of HTML."""
    return "".join(f"&#{ord(character)};" for character in text)


def from_html_entities(text: str) -> str:
    """Read character references, also those of control characters, which HTML itself forbids."""
    return re.sub(r"&(?:#(\d+)|\w+);", lambda r: _character(int(r[1])) if r[1] else html.unescape(r[0]), text)


def to_unicode_escapes(text: str) -> str:
    r"""Escapes as in Python, JSON and JavaScript: \\u0041; UTF-16 pairs beyond four digits."""
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def from_unicode_escapes(text: str) -> str:
    """Read such escapes."""
    found = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), text)
    return found.encode("utf-16-be", "surrogatepass").decode("utf-16-be")


def _character(code: int) -> str:
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise ValueError(f"there is no character {code}")
    return chr(code)
