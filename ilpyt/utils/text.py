"""Text of strangers, for a terminal."""


def printable(value: object, most: int | None = None) -> str:
    """A value as text in which nothing moves the cursor, sets a title or turns the direction of writing.

    Args:
        value: of which `str` is shown.
        most: characters; what is longer ends in "...". None: all.
    """
    text = str(value)
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in (text if most is None else text[: most + 1])
    )
    return shown if most is None or len(shown) <= most else f"{shown[: most - 3]}..."
