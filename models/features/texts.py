"""The rules for the text of an id or another value, which reading, the servable and its clients share.

What stands around an id or another value and is a blank of Unicode's, or a byte order mark, is no part of it. Blanks
inside stay, and so does everything else: case, leading zeros, quotes, signs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import tensorflow as tf

# As Python's `str.isspace` has it, and the byte order mark.
BLANKS = "".join(map(chr, [*range(9, 14), *range(28, 33), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)])) + "".join(
    map(chr, [0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF])
)
_FLOAT = r"(-?[0-9]+)\.0+"
WRITTEN_AS_FLOAT = f"^{_FLOAT}$"  # A whole number, as in a column of ids that pandas made floats.
_CLASS = "[" + "".join(f"\\x{{{ord(blank):x}}}" for blank in BLANKS) + "]"
_AROUND = f"^{_CLASS}+|{_CLASS}+$"
_AROUND_FLOAT = f"^{_CLASS}*{_FLOAT}{_CLASS}*$|{_AROUND}"  # Both rules, in one go over a text.


def trim(texts: pa.Array) -> pa.Array:
    """Texts without the blanks around them."""
    import pyarrow.compute as pc

    return pc.utf8_trim(texts, characters=BLANKS)


def trim_tensor(texts: tf.Tensor, floats_are_whole: bool = False) -> tf.Tensor:
    """The same in a graph; with `floats_are_whole`, what is `WRITTEN_AS_FLOAT` without its fraction, too."""
    import tensorflow as tf

    pattern, rewrite = (_AROUND_FLOAT, r"\1") if floats_are_whole else (_AROUND, "")
    return tf.strings.regex_replace(texts, pattern, rewrite)


def unescaped(separator: str) -> str:
    """A separator of a configuration as it is given. Raises ValueError for the spelling of a character."""
    if len(separator) > 1 and separator[0] == "\\" and separator[1] in "tnrx0":
        raise ValueError(
            f'{separator!r} is a backslash and a letter: write it in double quotes, as "\\t", for the character'
        )
    return separator
