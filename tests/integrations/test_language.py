"""The guard ``language`` with the real py3langid."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
import yaml

from harmless.core import Exchange, Outcome
from harmless.errors import UsageError
from harmless.guards import load
from harmless.guards.language import language, varieties

pytestmark = pytest.mark.integration
pytest.importorskip("py3langid", reason="needs py3langid, of the extra 'language'")

SENTENCES = yaml.safe_load((Path(__file__).parent / "sentences.yaml").read_text(encoding="utf-8"))


def outcomes(spec: str, texts: list[str]) -> list[Outcome]:
    return [verdict.outcome for verdict in anyio.run(load(spec).judge, [Exchange.of(text) for text in texts])]


def test_other_languages_are_flagged() -> None:
    texts = [text for sentences in SENTENCES.values() for text in sentences]
    assert outcomes("language(en)", texts).count(Outcome.UNSAFE) >= 0.9 * len(texts)


@pytest.mark.parametrize("code", SENTENCES)
def test_a_language_that_is_allowed_is_not(code: str) -> None:
    assert set(outcomes(f"language({code})", SENTENCES[code])) == {Outcome.SAFE}


def test_ordinary_english_prompts_are_not_flagged(shared_data: Path) -> None:
    lines = (shared_data / "benign_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    found = outcomes("language(en)", [json.loads(line)["text"] for line in lines])
    assert found.count(Outcome.UNSAFE) < 0.002 * len(found)
    assert Outcome.UNASSESSED not in found


def test_an_unknown_code_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'english' is not known"):
        load("language(english)")


def test_the_varieties_are_labels_of_the_model() -> None:
    labels = set(language("en")._identifier.labels)
    near = varieties().near
    assert {*varieties().none, *near, *(code for codes in near.values() for code in codes)} <= labels


@pytest.mark.parametrize("text", ["\ufffd" * 50, "a" * 20_000, "\u200b\u202e", "<|endoftext|>"])
def test_garbage_is_judged(text: str) -> None:
    assert outcomes("language(en)", [text]) != [Outcome.UNASSESSED]
