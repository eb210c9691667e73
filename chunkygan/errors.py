"""Every error this project raises on purpose.

    ChunkyGANError            anything below; the command line turns it into one message and exit code 2
    ├── RecipeError           a recipe's keys or values
    ├── ComponentError        an unknown, doubled or broken plugin or component
    ├── WeightsError          a weight file that is missing, damaged or of another kind
    ├── ImageError            a picture or mask file that cannot be used
    ├── ShapeError            a tensor of the wrong shape, range or kind
    └── ProjectionError       a projection that cannot be made, read or written

A message says which key or argument, what is allowed, what came, and what to do.
"""

from __future__ import annotations


class ChunkyGANError(Exception):
    """Base of all errors that the user can mend."""


class RecipeError(ChunkyGANError):
    """One or more problems of a recipe, all reported at once.

    Args:
        problems: one line a problem, each with its key path.
        source: the recipe's file or name, put before every line.
    """

    def __init__(self, problems: str | list[str], source: str | None = None) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        self.source = source
        prefix = f"{source}: " if source else ""
        super().__init__("\n".join(prefix + problem for problem in self.problems))


class ComponentError(ChunkyGANError):
    """A component that does not exist, exists twice, or fails to load."""


class WeightsError(ChunkyGANError):
    """A weight file that is missing, damaged, or not what it should be."""


class ImageError(ChunkyGANError):
    """A picture, mask or label file that cannot be used."""


class ShapeError(ChunkyGANError, ValueError):
    """A tensor whose shape, range or kind is not what the function takes."""


class ProjectionError(ChunkyGANError):
    """A projection that cannot be made, read or written."""
