"""Numbers in words: cardinals, ordinals, years, digits one by one."""

from __future__ import annotations

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = (
    "_ thousand million billion trillion quadrillion quintillion sextillion septillion octillion nonillion decillion"
).split()
IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
LONGEST = 3 * len(SCALES)  # digits that have a name; longer ones are said digit by digit


def digits(text: str) -> str:
    """Each digit by itself; other signs are left out.

    >>> digits("0049")
    'zero zero four nine'
    """
    return " ".join(ONES[int(char)] for char in text if "0" <= char <= "9")


def cardinal(text: str) -> str:
    """A whole number without sign; one that begins with zeros, or has no name, digit by digit.

    >>> cardinal("1234567"), cardinal("100"), cardinal("007")
    ('one million two hundred thirty-four thousand five hundred sixty-seven', 'one hundred', 'zero zero seven')
    """
    if len(text) > LONGEST or (len(text) > 1 and text[0] == "0"):
        return digits(text)
    number = int(text)
    if number == 0:
        return ONES[0]
    groups: list[str] = []
    for scale in SCALES:
        number, group = divmod(number, 1000)
        if group:
            groups.append(_below_1000(group) + ("" if scale == "_" else f" {scale}"))
    return " ".join(reversed(groups))


def ordinal(text: str) -> str:
    """A whole number as a place.

    >>> ordinal("21"), ordinal("100"), ordinal("12")
    ('twenty-first', 'one hundredth', 'twelfth')
    """
    spoken_form = cardinal(text)
    head = spoken_form[: max(spoken_form.rfind(" "), spoken_form.rfind("-")) + 1]
    last = spoken_form[len(head) :]
    if last in IRREGULAR:
        return head + IRREGULAR[last]
    return head + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def year(text: str) -> str:
    """Four digits in pairs, as years are said.

    >>> year("1984"), year("1905"), year("2000"), year("2007"), year("2024"), year("1900")
    ('nineteen eighty-four', 'nineteen oh five', 'two thousand', 'two thousand seven', 'twenty twenty-four',
    'nineteen hundred')
    """
    high, low = int(text[:2]), int(text[2:])
    if high % 10 == 0 and low < 10:
        return cardinal(text)
    rest = "hundred" if low == 0 else f"oh {ONES[low]}" if low < 10 else cardinal(str(low))
    return f"{cardinal(str(high))} {rest}"


def plural(word: str) -> str:
    """Of the words that numbers and units end with.

    >>> plural("sixty"), plural("half"), plural("inch"), plural("hundred")
    ('sixties', 'halves', 'inches', 'hundreds')
    """
    if word.endswith("f"):
        return f"{word[:-1]}ves"
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return word + ("es" if word.endswith(("x", "ch", "s")) else "s")


def _below_1000(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    words = [ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(TENS[rest // 10] + (f"-{ONES[rest % 10]}" if rest % 10 else ""))
    elif rest:
        words.append(ONES[rest])
    return " ".join(words)
