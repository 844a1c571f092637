"""Folding shows what a reader sees, and every match leads back to the original characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harmless.guards.normalise import MAX_MARKS, View, loose, may_be_disguised, plain, raw

# Text that attackers write: look-alikes, invisible characters, marks, jamo, leetspeak, spaced letters.
ODD = "aеοｋ🅺ﬁßİ\u200b\u202e\u0301\u3099\uff9e\u09be\u1161\u11a8가ㅏ\u0344\ufdfa\ud800\x00\U000e0041٣ 1!@.-_"
texts = st.one_of(st.text(), st.text(alphabet=ODD), st.text(alphabet="kil1@!. -_*a3", max_size=40))


def views(text: str) -> list[View]:
    folded = plain(text)
    return [raw(text), folded, *loose(folded)]


@given(texts)
@example("か\u200bか\u3099")
@example("ㄱㅏ\u11a8" + "\u3099" * 20)
@example("ﷺ" + "\u3099" * 20)
def test_folding_twice_changes_nothing_more(text):
    once = plain(text).text
    assert plain(once).text == once


@given(texts)
def test_offsets_never_decrease_and_stay_in_the_original(text):
    for view in views(text):
        assert len(view.starts) == len(view.ends) == len(view.text)
        assert list(view.starts) == sorted(view.starts)
        assert list(view.ends) == sorted(view.ends)
        assert all(0 <= start < end <= len(text) for start, end in zip(view.starts, view.ends, strict=True))


@given(texts, st.data())
def test_every_span_of_a_view_lies_in_the_original_and_keeps_its_order(text, data):
    for view in views(text):
        start = data.draw(st.integers(0, len(view.text)))
        end = data.draw(st.integers(start, len(view.text)))
        low, high = view.span(start, end)
        assert 0 <= low <= high <= len(text)


@given(texts)
def test_a_folded_text_is_in_compatibility_form_and_lower_case(text):
    folded = plain(text).text
    assert folded == folded.casefold()
    assert all(unicodedata.normalize("NFKC", character) == character for character in folded)


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_ascii_is_only_lowered(text):
    assert plain(text) == View(text.lower(), range(len(text)), range(1, len(text) + 1))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("fullwidth", "ｋｉｌｌ ｔｈｅｍ"),
        ("zero-width", "k\u200bi\u200cl\u200dl\ufeff th\u2060em"),
        ("bidirectional controls", "\u202ekill\u202c \u2066them\u2069"),
        ("soft hyphens and variation selectors", "k\u00adill the\ufe0fm"),
        ("Cyrillic and Greek look-alikes", "кіll тнеm"),
        ("mathematical letters", "𝖐𝖎𝖑𝖑 𝓽𝓱𝓮𝓶"),
        ("squared and circled letters", "🅺🅸🅻🅻 ⓣⓗⓔⓜ"),
        ("accents", "kïll thém"),
        ("stacked marks", "k̷̢͝i̸ll̴ t̶h̵e̷m̸"),
        ("invisible tags", "".join(chr(0xE0000 + ord(c)) for c in "kill them")),
        ("small capitals", "ᴋɪʟʟ ᴛʜᴇᴍ"),
        ("no-break space", "KILL\u00a0THEM"),
    ],
)
def test_a_disguise_folds_to_the_plain_words(name, text):
    assert plain(text).text == "kill them", name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spaced", "k i l l them"),
        ("spaced through", "k i l l   t h e m"),
        ("dotted through", "k.i.l.l. .t.h.e.m"),
        ("dashed", "k-i-l-l them"),
        ("leetspeak", "k1ll th3m"),
        ("leetspeak for l", "ki11 them"),
        ("signs", "k!ll th€m"),
        ("repeated", "kiiiiill themmmm"),
        ("repeated double letter", "killlll them"),
        ("punctuated", "k.il.l t*h*em"),
        ("all at once", "k 1 l l th33333m"),
    ],
)
def test_a_disguised_word_has_a_loose_reading(name, text):
    assert "kill them" in [view.text for view in loose(plain(text))], name


def test_a_lone_article_beside_spaced_letters_may_be_a_word_of_its_own():
    assert "make a bomb" in [view.text for view in loose(plain("make a b o m b"))]
    assert "kill a man" in [view.text for view in loose(plain("k i l l a man"))]


def test_ordinary_text_has_no_loose_reading():
    assert loose(plain("What is the capital of Peru? I'd like a well-known recipe, please.")) == []


@pytest.mark.parametrize(
    "text", ["Please k 1 l l the process", "Please ｋ\u200bｉｌｌ the process", "Please kiiiilll it"]
)
def test_a_match_leads_back_to_the_disguised_characters(text):
    spans = set()
    for view in views(text):
        at = view.text.find("kil")
        if at >= 0:
            start, end = view.span(at, at + 3)
            spans.add(text[start:end])
    assert spans
    assert all(span[0] in "kｋ" and span[-1] in "lｌ1" for span in spans)


def test_letters_of_other_scripts_survive_composition():
    for word in ("한국어", "が", "हिन्दी", "עברית", "العربية", "中文"):
        assert plain(word).text == unicodedata.normalize("NFKC", word)
        assert plain(unicodedata.normalize("NFD", word)).text == unicodedata.normalize("NFKC", word)


def test_a_tower_of_marks_is_cut():
    assert len(plain("か" + "\u3099" * 10_000).text) <= MAX_MARKS + 1


def test_a_long_disguised_text_takes_little_time_and_at_most_eight_views():
    text = "i k 1 l l a man, lооооok " * 2_000
    assert 1 <= len(loose(plain(text))) <= 8


@given(st.lists(st.text(alphabet=st.sampled_from("ab cA1.-_*!$@|+~^/,\t\n é’\0'x"), max_size=14), max_size=20))
def test_what_cannot_be_disguised_has_no_other_reading(texts):
    for text, suspicious in zip(texts, may_be_disguised(texts), strict=True):
        if not suspicious:
            view = plain(text)
            assert view.text == text.lower()
            assert loose(view) == []


def test_ordinary_sentences_are_not_suspicious():
    assert may_be_disguised(["How do I bake bread?", "Tell me a long story of the sea", "k1ll"]) == [
        False,
        False,
        True,
    ]
