"""The guard ``secrets`` beside Yelp's detect-secrets, on tokens that are made here and on ordinary text."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from harmless.guards.secrets import secrets

pytestmark = pytest.mark.integration
detect_secrets = pytest.importorskip("detect_secrets", reason="needs detect-secrets")
settings = pytest.importorskip("detect_secrets.settings", reason="needs detect-secrets")

MIXED = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
TIMES = 20


def tokens() -> dict[str, list[str]]:
    source = random.Random(0)

    def draw(length: int, alphabet: str = MIXED) -> str:
        return "".join(source.choice(alphabet) for _ in range(length))

    made: dict[str, Callable[[], str]] = {
        "aws": lambda: f'key = "AKIA{draw(16, string.ascii_uppercase + "234567")}"',
        "github": lambda: f"token ghp_{draw(36)}",
        "slack": lambda: f"xoxb-{draw(12, string.digits)}-{draw(12, string.digits)}-{draw(24)}",
        "stripe": lambda: f"sk_live_{draw(24)}",
        "npm": lambda: f"//registry.example/:_authToken=npm_{draw(36)}",
        "sendgrid": lambda: f"SG.{draw(22)}.{draw(43)}",
        "openai": lambda: f"sk-{draw(20)}T3BlbkFJ{draw(20)}",
        "base64 in quotes": lambda: f'secret = "{draw(40)}"',
        "hexadecimal in quotes": lambda: f'api_key = "{draw(40, HEX)}"',
        "base64 in a sentence": lambda: f"The access token is {draw(40)} as he said.",
        "password": lambda: f'password = "{draw(12)}1a"',
        "private key": lambda: "-----BEGIN RSA PRIVATE KEY-----",
        "basic authentication": lambda: f"https://ada:{draw(12)}@db.internal/x",
    }
    return {name: [make() for _ in range(TIMES)] for name, make in made.items()}


def theirs(texts: list[str], folder: Path) -> int:
    """Return in how many texts detect-secrets finds something, each as a file as it is used to."""
    found = 0
    for number, text in enumerate(texts):
        path = folder / f"{number}.txt"
        path.write_text(text, encoding="utf-8")
        collection = detect_secrets.SecretsCollection()
        with settings.default_settings():
            collection.scan_file(str(path))
        found += bool(collection.files)
    return found


def ours(text: str) -> bool:
    return any(finding.score >= 0.5 for finding in secrets().find(text))


@pytest.mark.parametrize("kind", tokens())
def test_ours_finds_at_least_what_detect_secrets_finds(kind: str, tmp_path: Path) -> None:
    texts = tokens()[kind]
    found = sum(map(ours, texts)), theirs(texts, tmp_path)
    print(f"{kind}: ours {found[0]}, detect-secrets {found[1]} of {TIMES}")
    assert found[0] >= 0.9 * TIMES
    assert found[0] >= found[1] - 0.05 * TIMES


def test_ours_raises_no_more_false_alarms(shared_data: Path, tmp_path: Path) -> None:
    lines = (shared_data / "benign_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[::40]]
    found = sum(map(ours, texts)), theirs(texts, tmp_path)
    print(f"false alarms: ours {found[0]}, detect-secrets {found[1]} of {len(texts)}")
    assert found[0] <= found[1]
