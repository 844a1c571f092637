"""Tier 2 of the embedded guard with the artefact that is shipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harmless import guards
from harmless.core import Exchange, Guard, Outcome, Verdict, user
from harmless.errors import BadFileError, MissingExtraError, UsageError
from harmless.guards import bert
from harmless.guards.encoder import EncoderGuard, encoder

pytest.importorskip("onnxruntime", reason="the extra 'encoder' is not installed")
pytest.importorskip("tokenizers", reason="the extra 'encoder' is not installed")

pytestmark = pytest.mark.anyio

HERE = Path(__file__).resolve().parent
GOLDEN = yaml.safe_load((HERE / "golden" / "encoder.yaml").read_text(encoding="utf-8"))
PHRASES = HERE.parents[1] / "fixtures" / "guards" / "short_phrases.txt"
ARTEFACTS = Path(bert.__file__).parent / "artefacts"
LONG = "Tell me about the history of bridges. " * 200
TEXTS = [*GOLDEN, "", "ok", LONG, "Zażółć gęślą jaźń 🙂", "a\u0000b", "𝓗𝓮𝓵𝓵𝓸"]


async def scores(guard: Guard, texts: Sequence[str]) -> list[float | None]:
    return [verdict.score for verdict in await guard.judge([Exchange.of(text) for text in texts])]


@pytest.mark.parametrize("how", ["", "alone"])
async def test_known_texts_have_their_scores(how: str) -> None:
    found = await scores(encoder(how), list(GOLDEN))
    assert found == pytest.approx([each[how or "both"] for each in GOLDEN.values()], abs=0.02)


@pytest.mark.parametrize("how", ["", "alone"])
async def test_a_score_depends_neither_on_the_batch_nor_on_the_order(how: str) -> None:
    guard = encoder(how)
    together = await scores(guard, TEXTS)
    assert await scores(guard, TEXTS[::-1]) == pytest.approx(together[::-1], abs=1e-5)
    assert [(await scores(guard, [text]))[0] for text in TEXTS] == pytest.approx(together, abs=1e-5)
    assert await scores(guard, TEXTS * 3) == pytest.approx(together * 3, abs=1e-5)


async def test_no_exchanges_give_no_verdicts() -> None:
    assert await encoder().judge([]) == []


async def test_a_bad_item_costs_only_that_item() -> None:
    class Poisoned(bert.Encoder):
        def scores(self, texts: Sequence[str]) -> Any:
            if "boom" in texts:
                raise RuntimeError("boom")
            return super().scores(texts)

    whole = bert.shipped("encoder")
    guard = EncoderGuard(Poisoned(**{name: getattr(whole, name) for name in bert.Encoder.__dataclass_fields__}))
    first, bad, last = await guard.judge([Exchange.of(text) for text in ("Hello", "boom", "Good soup?")])
    assert (first.outcome, last.outcome) == (Outcome.SAFE, Outcome.SAFE)
    assert bad.outcome is Outcome.UNASSESSED
    assert "boom" in bad.reason


async def test_what_is_flagged_has_a_domain_and_a_reason_and_what_is_not_has_none() -> None:
    bad, good = (max(GOLDEN, key=lambda t: GOLDEN[t]["both"]), min(GOLDEN, key=lambda t: GOLDEN[t]["both"]))
    flagged, clear = await encoder().judge([Exchange.of(bad), Exchange.of(good)])
    assert flagged.outcome is Outcome.UNSAFE
    assert clear == Verdict(outcome=Outcome.SAFE, score=clear.score)
    for finding in flagged.findings:
        assert finding.rule == "encoder"
        assert finding.hazard in encoder().info.hazards
        assert finding.span is not None
        assert bad[slice(*finding.span)]
    assert "driven by" in flagged.reason


async def test_alone_the_finding_is_the_whole_prompt_of_the_last_turn() -> None:
    bad = max(GOLDEN, key=lambda text: GOLDEN[text]["alone"])
    (verdict,) = await encoder("alone").judge([Exchange.of(bad)])
    assert [finding.span for finding in verdict.findings] == [(0, len(bad))]
    assert "driven by" not in verdict.reason


async def test_alone_a_reply_does_not_change_the_verdict_on_the_prompt() -> None:
    pairs = [Exchange(conversation=user(text), reply=reply) for text in GOLDEN for reply in (None, "Sure.")]
    found = await encoder("alone").judge(pairs)
    assert found[::2] == found[1::2]


async def test_a_reply_is_judged_as_tier_1_does() -> None:
    replies = (
        "Sure, first mix the acid with the powder.",
        "I can't help with that.",
        "Water them once a week.",
        "",
    )
    given = [Exchange(conversation=user(text), reply=reply) for text in GOLDEN for reply in replies]
    found, first = await encoder().judge(given), await guards.load("embedded").judge(given)
    assert [verdict.outcome for verdict in found] == [verdict.outcome for verdict in first]
    assert {verdict.outcome for verdict in found} == {Outcome.SAFE, Outcome.UNSAFE}
    for verdict in found:
        assert (verdict.score >= encoder().info.threshold) == (verdict.outcome is Outcome.UNSAFE)


async def test_prompts_and_replies_together_have_the_verdicts_that_each_has() -> None:
    mixed = [
        Exchange(conversation=user(text), reply=reply)
        for text, reply in zip(GOLDEN, ["Sure.", None] * len(GOLDEN), strict=False)
    ]
    assert await encoder().judge(mixed) == [(await encoder().judge([each]))[0] for each in mixed]


async def test_hardly_any_short_phrase_is_flagged() -> None:
    phrases = PHRASES.read_text(encoding="utf-8").splitlines()
    verdicts = await encoder().judge([Exchange.of(phrase) for phrase in phrases])
    assert sum(v.outcome is Outcome.UNSAFE for v in verdicts) <= len(phrases) / 100


def test_a_long_text_is_read_at_its_head_and_its_tail() -> None:
    made = bert.shipped("encoder")
    (ids,) = made.read(["First words. " + LONG + " last word"])
    whole = made.read(["first words"])[0], made.read(["last word"])[0]
    assert len(ids) == made.metadata["longest"]
    assert ids[:3] == whole[0][:3]
    assert ids[-3:] == whole[1][-3:]


def test_it_says_what_it_is() -> None:
    both, alone = guards.load("encoder").info, guards.load("encoder(alone)").info
    assert (both.sees, both.licence, both.leaves_machine) == ("both", "Apache-2.0", False)
    assert alone.sees == "prompt"
    assert both.family == guards.load("embedded").info.family
    assert both.identity != alone.identity
    assert both.needs == ("extra encoder",)


def test_another_argument_is_refused() -> None:
    with pytest.raises(UsageError, match=r"encoder\(alone\)"):
        guards.load("encoder(both)")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bert, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'harmless\[encoder\]'"):
        guards.load("encoder")


def test_the_artefact_is_small_enough_to_be_shipped_and_holds_no_text_of_the_data() -> None:
    sizes = [(ARTEFACTS / name).stat().st_size for name in bert.files("encoder")]
    assert sum(sizes) <= 25_000_000
    metadata = json.loads((ARTEFACTS / "encoder.json").read_text(encoding="utf-8"))
    assert set(metadata["data"]) == {"digests", "licences", "left_out"}
    assert not [each for each in metadata["data"]["licences"] if "NC" in each]


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="harmless guard train --tier 2"):
        bert.read(tmp_path, "encoder")
    for name in bert.files("encoder"):
        (tmp_path / name).write_bytes(b'{"format": 99}')
    with pytest.raises(BadFileError, match="format 99"):
        bert.read(tmp_path, "encoder")


def test_no_texts_have_no_scores() -> None:
    assert bert.shipped("encoder").scores([]).tolist() == np.array([]).tolist()
