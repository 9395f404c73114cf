"""Keywords on a command line, as JSON."""

import json
from typing import Any


def read_keywords(text: str) -> dict[str, Any]:
    """A JSON object, such as '{"gravity": -5}'.

    Raises:
        ValueError: it isn't one.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{text} isn't a JSON object such as '{{\"gravity\": -5}}'")
    return value
