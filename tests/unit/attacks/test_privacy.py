"""What a tiny model that was trained on a dozen rows remembers of them, and one that was not does not."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harmless.cli import main
from harmless.core import user
from harmless.errors import BadFileError, UsageError
from tests.tiny import saved

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")

from harmless.attacks.privacy import (  # noqa: E402
    Canary,
    Passage,
    exposures,
    membership,
    planted,
    read_canaries,
    read_passages,
    recall,
)
from harmless.attacks.privacy.blind import blind_scores  # noqa: E402
from harmless.attacks.privacy.canary import share_below  # noqa: E402
from harmless.attacks.privacy.membership import membership_scores  # noqa: E402
from harmless.attacks.privacy.passages import likelihoods, tokens_of  # noqa: E402
from harmless.attacks.privacy.recall import edits  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402

WORDS = (
    "amber",
    "brick",
    "cedar",
    "delta",
    "ember",
    "flint",
    "grove",
    "heron",
    "ivory",
    "jade",
    "kelp",
    "lunar",
)
CANARY = Canary(text="pin {secret}.", secret="4817")


def rows(seed: int, count: int = 12) -> list[Passage]:
    rng = random.Random(seed)
    return [Passage(f"{rng.randrange(1000, 9999)} {' '.join(rng.sample(WORDS, 6))}") for _ in range(count)]


MEMBERS, OTHERS = rows(1), rows(2)
REPLY = Passage("it is jade and opal", user("hue?"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(str(saved(tmp_path_factory.mktemp("base"))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that was trained on the members, a reply and a canary until it knew them."""
    folder = saved(tmp_path_factory.mktemp("trained"))
    local = load(str(folder))
    learnt = [tokens_of(local, each).ids for each in (*MEMBERS, REPLY, Passage(CANARY.filled(CANARY.secret)))]
    width = max(map(len, learnt))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in learnt])
    labels = torch.tensor([[*row, *[-100] * (width - len(row))] for row in learnt])
    torch.manual_seed(1)
    steps = torch.optim.Adam(local.model.parameters(), lr=1e-2)
    for _ in range(250):
        loss = local.model(input_ids=ids, labels=labels).loss
        steps.zero_grad()
        loss.backward()
        steps.step()
    local.model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> LocalModel:
    return load(str(folder))


def test_likelihoods_are_those_of_each_passage_alone(base: LocalModel) -> None:
    passages = [*OTHERS[:3], REPLY, Passage("x")]
    for passage, each in zip(passages, likelihoods(base, passages), strict=True):
        ids, start = tokens_of(base, passage)
        every = base.model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1).detach().numpy()[start - 1 :]
        after = np.array(ids[start:], dtype=int)
        expected = every[np.arange(len(after)), after]
        np.testing.assert_allclose(each.logp, expected, atol=1e-4)
        mean = (np.exp(every) * every).sum(-1)
        deviation = np.sqrt((np.exp(every) * (every - mean[:, None]) ** 2).sum(-1))
        np.testing.assert_allclose(each.z, (expected - mean) / deviation, rtol=1e-2, atol=1e-3)
    ids, start = tokens_of(base, REPLY)
    assert base.tokenizer.decode(ids[start:]) == "it is jade and opal<|end|>"


def test_members_are_told_from_others_where_the_model_learnt_them(
    trained: LocalModel, base: LocalModel
) -> None:
    found = membership(trained, MEMBERS, [*OTHERS, Passage("x")], base)
    assert set(found.scores) == {"loss", "zlib", "min_k", "min_k++", "reference"}
    assert all(each.auroc > 0.95 and each.low > 0.8 for each in found.scores.values())
    assert found.scores["loss"].tpr_at_5_fpr > 0.9
    assert (found.members, found.others, found.left_out) == (12, 12, 1)
    assert found.blind.low < 0.7


def test_nothing_is_told_where_it_did_not(base: LocalModel) -> None:
    found = membership(base, MEMBERS, OTHERS)
    assert all(each.low < 0.5 < each.high for each in found.scores.values())


def test_the_scores_are_as_published() -> None:
    from harmless.attacks.privacy.passages import Likelihood

    logp = np.array([-1.0, -2.0, -3.0, -4.0, -5.0] * 2)
    scores = membership_scores([Passage("abcabcabc")], [Likelihood(logp, logp / 2)])
    found = {name: float(values[0]) for name, values in scores.items()}
    assert found == pytest.approx({"loss": -3, "zlib": -3 / 14, "min_k": -5, "min_k++": -2.5}, rel=0.1)


def test_sets_that_differ_by_their_words_are_told_apart_without_a_model() -> None:
    texts = [f"winter {i} snow" for i in range(20)] + [f"summer {i} sun" for i in range(20)]
    labels = np.arange(40) < 20
    scores = blind_scores(texts, labels)
    assert scores[:20].min() > scores[20:].max()
    assert np.abs(blind_scores(["same"] * 40, labels)).max() < 0.2


def test_what_was_learnt_is_given_back(trained: LocalModel, base: LocalModel) -> None:
    short = Passage("jade")
    found = recall(trained, [*MEMBERS, REPLY, short], prefix=12, length=20, reference=base)
    assert found.near.rate > 0.8
    assert found.exact.rate > 0.7
    assert found.too_short == 1
    assert found.by_reference is not None
    assert found.by_reference.rate == 0
    assert found.p is not None
    assert found.p < 0.01
    assert [each.row for each in found.rows] == list(range(13))
    assert found.rows[12].exact
    assert recall(trained, OTHERS, prefix=12, length=20).near.rate < 0.3
    with pytest.raises(UsageError, match="behind the first 60"):
        recall(trained, MEMBERS, prefix=60)


def test_edits_are_counted() -> None:
    assert [edits("abc", other) for other in ("abc", "abd", "ab", "", "xabc")] == [0, 1, 1, 3, 1]


def test_a_planted_secret_is_exposed_and_others_are_not(trained: LocalModel, base: LocalModel) -> None:
    control = Canary(text="pin {secret}.", secret="9302", repeats=0)
    learnt, unknown = exposures(trained, [CANARY, control])
    assert learnt.most == pytest.approx(np.log2(10_000))
    assert learnt.better == 0
    assert learnt.bits > 8 > 5 > unknown.bits
    assert next(exposures(base, [CANARY])).bits < 6
    with pytest.raises(UsageError, match="longer than the context"):
        next(exposures(base, [Canary(text="a" * 70 + "{secret}", secret="1")]))


def test_with_few_alternatives_the_rank_is_exact(trained: LocalModel) -> None:
    found = next(exposures(trained, [Canary(text="pin 481{secret}.", secret="7")]))
    assert (found.exact, found.compared, found.better) == (True, 9, 0)
    assert found.bits == pytest.approx(np.log2(10))


def test_the_skew_normal_is_that_of_scipy() -> None:
    sample = stats.skewnorm.rvs(3, loc=5, scale=2, size=20_000, random_state=np.random.default_rng(1))
    for value in (5.0, 6.0, 8.0):
        assert share_below(value, sample) == pytest.approx(stats.skewnorm.cdf(value, 3, 5, 2), abs=0.02)
    assert 0 < share_below(2.0, sample) < 1e-4
    assert share_below(30.0, sample) == pytest.approx(1)
    assert share_below(1.0, np.ones(5)) == 0.5


def test_canaries_are_drawn_written_and_read(tmp_path: Path) -> None:
    found = planted(9, seed=3)
    assert found == planted(9, seed=3) != planted(9, seed=4)
    assert [each.repeats for each in found[:5]] == [1, 4, 16, 0, 1]
    assert all(each.size == 10**6 and each.filled("#").count("#") == 1 for each in found)
    file = tmp_path / "canaries.jsonl"
    file.write_text('{"text": "a {secret}", "secret": "x9"}\n')
    canary = read_canaries(file)[0]
    assert canary.size == 260
    assert len(canary.others(random.Random(1))) == 259
    file.write_text('{"text": "no place", "secret": "x9"}\n')
    with pytest.raises(BadFileError, match=r"jsonl:1.*place"):
        read_canaries(file)


def test_passages_are_read_in_all_layouts(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a b"}\n{"text": "  "}\n')
    assert read_passages(file) == [Passage("a b")]
    file.write_text('{"prompt": "q", "reply": "r"}\n')
    assert read_passages(file) == [Passage("r", user("q"))]
    file.write_text('{"text": " "}\n')
    with pytest.raises(BadFileError, match="no text"):
        read_passages(file)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(["privacy", *arguments])
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("prefix", "length"), [(12, 0), (12, -1), (0, 20)])
def test_a_number_of_tokens_is_at_least_one(base: LocalModel, prefix: int, length: int) -> None:
    with pytest.raises(UsageError, match=r"has (0|-1) tokens"):
        recall(base, MEMBERS, prefix=prefix, length=length)


def test_canaries_that_may_be_planted_are_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "canaries.jsonl"
    for _ in range(2):
        told(capsys, "canaries", "--seed", "5", "--out", str(file))
    before = file.read_bytes()
    with pytest.raises(SystemExit) as left:
        main(["privacy", "canaries", "--seed", "6", "--out", str(file)])
    assert left.value.code == 2
    assert "other secrets" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_the_commands(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {"members": MEMBERS, "others": OTHERS}
    for name, passages in files.items():
        lines = [json.dumps({"text": each.text}) for each in passages]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    those, others = (str(tmp_path / f"{name}.jsonl") for name in files)
    found = json.loads(told(capsys, "members", str(folder), "--members", those, "--others", others, "--json"))
    assert found["scores"]["loss"]["auroc"] > 0.9
    assert "blind" in told(capsys, "members", str(folder), "--members", those, "--others", others)
    asked = ("recall", str(folder), "--rows", those, "--prefix", "12", "--length", "20")
    assert json.loads(told(capsys, *asked, "--json"))["near"]["rate"] > 0.8
    assert "word by word" in told(capsys, *asked)
    file = tmp_path / "canaries.jsonl"
    assert "8 canaries" in told(capsys, "canaries", "--out", str(file))
    assert len(read_canaries(file)) == 8
    with pytest.raises(SystemExit) as left:
        main(["privacy", "canaries", "--out", str(tmp_path / "nowhere" / "file.jsonl")])
    assert left.value.code == 2
    file.write_text(CANARY.model_dump_json())
    assert json.loads(told(capsys, "exposure", str(folder), "--canaries", str(file), "--json"))["exposures"]
    assert "bits" in told(capsys, "exposure", str(folder), "--canaries", str(file))
