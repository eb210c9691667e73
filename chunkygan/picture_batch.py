"""Pictures on their way from file to results, side by side: what they need fitted is fitted together."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping

from chunkygan.interfaces import FitRequest
from chunkygan.inversion import Inversion
from chunkygan.projection import Projection

Course = Generator[FitRequest, Projection, Projection]
"""One picture's way: it yields what it needs fitted, is sent the projection, and returns the last one."""


def run_together(courses: Mapping[str, Course], inversion: Inversion) -> Iterator[tuple[str, Projection | Exception]]:
    """Takes all courses to their ends, and tells of each when it is there: its name, and what it returned or raised.

    What they need fitted at the same time goes to `Inversion.project_all` at once; what goes wrong with one ends that
    one alone.
    """
    waiting: dict[str, FitRequest] = {}
    for name, course in courses.items():
        found = _next(course, None)
        if isinstance(found, FitRequest):
            waiting[name] = found
        else:
            yield name, found
    while waiting:
        names, requests = [*waiting], [*waiting.values()]
        waiting = {}
        for place, projection in inversion.project_all(requests):
            found = _next(courses[names[place]], projection)
            if isinstance(found, FitRequest):
                waiting[names[place]] = found
            else:
                yield names[place], found


def _next(course: Course, found: Projection | Exception | None) -> FitRequest | Projection | Exception:
    """What a course needs next, or its end, after it was told what was found."""
    try:
        if isinstance(found, Exception):
            return course.throw(found)
        return next(course) if found is None else course.send(found)
    except StopIteration as end:
        return end.value
    except Exception as error:
        return error
