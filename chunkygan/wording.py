"""The ends of error messages: near matches and lists of what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """``"; did you mean 'steps'?"``, or an empty string where nothing is near.

    >>> did_you_mean("setps", ["steps", "lr"])
    "; did you mean 'steps'?"
    """
    near = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def known(allowed: Iterable[str]) -> str:
    """``"there are a, b"``, sorted; ``"there are none"`` for nothing.

    >>> known({"w_plus", "w"})
    'there are w, w_plus'
    """
    return f"there are {', '.join(sorted(allowed)) or 'none'}"
