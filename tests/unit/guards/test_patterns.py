"""Patterns find words of folded text, say what they need, and cannot stall."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.guards.patterns import PatternError, Vocabulary, check_work, compile_raw, needs
from harmless.guards.prefilter import Prefilter, letters, required

WORDS = Vocabulary(
    sets={"make": ["make", "build*"], "thing": ["kite", "paper kite", "Дом"], "two": ["go", "we go"]},
    parts={"fly": [r"(?:to )?fly\w*+ {thing}", "let {gap:2} rise"], "loop": ["a {loop}"]},
)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("{make} {gap:2} {thing}", "please make me a kite", "make me a kite"),
        ("{make} {gap:2} {thing}", "building kites? build one kite!", "build one kite"),
        ("{make} {gap:2} {thing}", "make one two three kite", None),
        ("{make} {gap:2} {thing}", "make. a kite", None),
        ("{make} a kite", "make, 'a' kite", "make, 'a' kite"),
        ("{thing}", "a paper-kite", "paper-kite"),
        ("{thing}", "kites", None),
        ("e ?mail", "e-mail or email", "e-mail"),
        ("{fly}", "i want to fly kite", "to fly kite"),
        ("{fly}", "let it rise", "let it rise"),
        ("{thing}", "в дoм", "дoм"),
        ("kit.", "a kite", "kite"),
        ("kill", "skills", None),
    ],
)
def test_a_pattern_finds_whole_words_of_a_sentence(pattern, text, found):
    from harmless.guards.normalise import plain

    match = WORDS.compiled(pattern).search(plain(text).text)
    assert (match[0] if match else None) == (plain(found).text if found else None)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("{nothing} here", "unknown list 'nothing'; known: fly, loop, make, thing, two"),
        ("{loop}", "names 'loop' within itself"),
        ("Make", "upper case"),
        ("[A-Z]", "upper case"),
        ("[а-я]", "range outside ASCII"),
        ("(make", "not a regular expression: missing"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern, complaint):
    with pytest.raises(PatternError, match=re.escape(complaint)):
        WORDS.compiled(pattern)


@pytest.mark.parametrize(
    "source",
    [
        r"(a+)+$",
        r"(?:a|aa)+$",
        r"\w+\s\w+\s\w+",
        r"(.*)*x",
        r"(?:\w{1,20}\W?){1,20}x",
        r"(?=(a+)+b)a",
        r"(?>(a*)*)b",
    ],
)
def test_an_expression_that_may_stall_is_refused(source):
    with pytest.raises(PatternError, match="stall"):
        check_work(source)


@pytest.mark.parametrize(
    "source",
    [
        r"\w++@\w++",
        r".{0,40}x.{0,40}",
        r"(?:\w{1,20} ){0,3}",
        r"(?:one|two|three){1,8}",
        r"(?>a+)b",
        r"a*b",
        r"(a)?(?(1)b|c)",
    ],
)
def test_a_bounded_expression_is_accepted(source):
    check_work(source)


def test_what_is_accepted_is_fast_on_hostile_text():
    pattern = compile_raw(r"(?:\w{1,20} ){0,3}end")
    check_work(pattern.pattern)
    started = time.perf_counter()
    assert pattern.search("a" * 4096 + " b" * 200) is None
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("{make} {gap:3} {thing}", [{" make ", " build"}, {" kite ", " paper ", " дom "}]),
        ("secret plan", [{" secret plan"}]),
        ("(?:secret|hidden) plans?", [{"secret", "hidden"}, {" plan"}]),
        ("{make}|kite", [{" make ", " build", "kite"}]),
        ("{make}|x?", []),
        ("(?:{make} )?ends", [{"ends"}]),
        ("{fly}", [{" kite ", " paper ", " дom ", " let "}]),
    ],
)
def test_a_pattern_says_which_letters_it_needs(pattern, expected):
    found = [set(group) for group in needs(pattern, WORDS)]
    assert [group for group in found if group != {" "}] == expected


@pytest.mark.parametrize(("source", "groups"), [(r"AKIA[A-Z]{4}", [{"AKIA"}]), (r"(?i)akia", []), (r"x|y", [])])
def test_a_raw_expression_says_which_letters_it_needs(source, groups):
    assert [set(group) for group in required(source)] == groups


PATTERNS = [
    "{make} {gap:3} {thing}",
    "{fly}",
    "{two}",
    "(?:secret|hidden) plans?",
    "a(?:b|cd)+e",
    "kit[et]s?",
    "(?:{make} )?kite",
    "we (?!never)go",
    "don't {make}",
    "x{2,3}y",
]


@given(
    st.lists(
        st.sampled_from(
            [
                *[
                    "make",
                    "build",
                    "building",
                    "a",
                    "kite",
                    "paper-kite",
                    "fly",
                    "go",
                    "we",
                    "let",
                    "rise",
                    "secret",
                ],
                *["plans", "hidden", "plan", "abcde", "don't", "xxy", "kits", ",", ".", "!", "-"],
            ]
        )
    )
)
def test_the_prefilter_never_leaves_a_match_out(pieces):
    text = " ".join(pieces)
    prefilter = Prefilter([needs(pattern, WORDS) for pattern in PATTERNS])
    candidates = prefilter.candidates(text)
    assert candidates == sorted(candidates)
    matching = [number for number, pattern in enumerate(PATTERNS) if WORDS.compiled(pattern).search(text)]
    assert set(matching) <= set(candidates)


def test_the_prefilter_leaves_out_what_cannot_match():
    prefilter = Prefilter(
        [needs(pattern, WORDS) for pattern in ("{make} {gap:3} {thing}", "secret plans?", "a?b?")]
    )
    assert prefilter.candidates("what is the capital of peru?") == [2]
    assert prefilter.candidates("a secret plan to build a kite") == [0, 1, 2]
    assert prefilter.candidates("a kite, a building") == [0, 2]
    assert prefilter.candidates("a kite, a kitten") == [2]


@given(st.text(), st.text())
def test_the_letters_of_a_part_are_among_the_letters_of_the_whole(left, right):
    assert letters(f" {left} ").strip() in letters(f" {left} {right} ")
