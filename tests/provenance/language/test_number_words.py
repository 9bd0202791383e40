"""Numbers in words are read as they are spelled."""

from provenance.language.normal_forms import normalise

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def spelled(number: int, link: str = " and ") -> str:
    """English name of a number below 10^9, by the rule of the schoolbook."""
    for scale, name in ((10**6, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= scale:
            rest = number % scale
            joint = link if rest and (scale == 100 or rest < 100) else " "
            return f"{spelled(number // scale, link)} {name}" + (joint + spelled(rest, link) if rest else "")
    if number < 20:
        return ONES.split()[number]
    return TENS.split()[number // 10 - 2] + (f"-{ONES.split()[number % 10]}" if number % 10 else "")


def test_every_small_number_and_many_large_ones_are_read() -> None:
    numbers = [*range(1200), *range(1200, 10**9, 7_654_321), 777_777_777, 10**6, 10**6 + 1, 999_999_999]
    for link in (" and ", " "):
        assert [normalise(spelled(number, link)) for number in numbers] == [str(number) for number in numbers]


def test_other_words_stay() -> None:
    texts = ["one of us", "no one", "the second half", "a dozen", "tenor", "and", "hundred", "million and one"]
    assert [normalise(text) for text in texts] == [
        "one of us", "no one", "second half", "dozen", "tenor", "and", "hundred", "million and one",
    ]  # fmt: skip


def test_amounts_keep_all_their_digits() -> None:
    texts = ["1.23456789012345 million", "0.5 billion", "12345678901234567890 thousand", "3 hundred"]
    assert [normalise(text) for text in texts] == ["1234567.89012345", "500000000", "12345678901234567890000", "300"]
