"""What a class or function can be told in a recipe: its arguments, and whether a plain value fits their annotations."""

from __future__ import annotations

import collections.abc
import inspect
import os
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

from chunkygan.wording import did_you_mean, known

_MISSING = inspect.Parameter.empty


@dataclass(frozen=True)
class Part:
    """Says in an annotation that an argument is a component: ``Annotated[dict[str, Any], Part("encoder")]``."""

    kind: str


@dataclass(frozen=True)
class Parameter:
    """One argument of a callable; `annotation` is None where it cannot be told."""

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is _MISSING


@dataclass(frozen=True)
class Signature:
    """The arguments that can be given by name; `is_open` where the callable takes any (``**kwargs``)."""

    parameters: dict[str, Parameter]
    is_open: bool


def signature(target: Callable[..., Any]) -> Signature:
    """The arguments of a class's constructor or of a function."""
    found = inspect.signature(target).parameters.values()
    hints = _hints(target)
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return Signature(
        {p.name: Parameter(p.name, hints.get(p.name), p.default) for p in found if p.kind in by_name},
        any(p.kind is inspect.Parameter.VAR_KEYWORD for p in found),
    )


def problems(
    values: dict[str, Any], target: Callable[..., Any], *, what: str, path: str, injected: Iterable[str] = ()
) -> list[str]:
    """One line for each value that `target` does not take, and for each argument that it lacks.

    Args:
        values: argument -> value, as read from YAML.
        what: what messages call the target.
        path: key path of `values` in the recipe.
        injected: arguments that the framework fills, and a recipe may not.
    """
    accepted, found = signature(target), []
    own = {name: p for name, p in accepted.parameters.items() if name not in injected}
    for key, value in values.items():
        if not isinstance(key, str):  # reported as such by whoever read it
            continue
        where = f"{path}.{key}"
        if key in injected:
            found.append(f"{where}: is filled in by the framework and may not be set")
        elif key in own:
            found += _misfit(value, own[key].annotation, where)
        elif not accepted.is_open:
            found.append(f"{where}: {what} takes no such option; {known(own)}{did_you_mean(key, own)}")
    missing = [name for name, p in own.items() if p.required and name not in values]
    return found + [f"{path}.{name}: is required by {what}" for name in missing]


def _misfit(value: Any, annotation: Any, where: str) -> list[str]:
    if fits(value, annotation):
        return []
    near = ""
    if typing.get_origin(annotation) is Literal and isinstance(value, str):
        near = did_you_mean(value, [str(choice) for choice in typing.get_args(annotation)])
    return [f"{where}: must be {described(annotation)}; got {value!r}{near}"]


def fits(value: Any, annotation: Any) -> bool:
    """Whether a plain YAML value can stand for an annotation; True where that cannot be told.

    >>> fits(1, float), fits(True, int), fits("x", Literal["x", "y"]), fits([1, "a"], list[int])
    (True, False, True, False)
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, choice) for choice in arguments)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return _is_list(value) and len(value) == len(arguments) and all(map(fits, value, arguments))
    if origin in (list, tuple, collections.abc.Sequence, collections.abc.Iterable, set, frozenset):
        return _is_list(value) and all(fits(item, arguments[0]) for item in value if arguments)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, dict) and all(fits(v, arguments[1]) for v in value.values() if arguments)
    if origin is Annotated:
        return fits(value, arguments[0])
    return _fits_plain(value, annotation)


def _fits_plain(value: Any, annotation: Any) -> bool:
    if annotation is None or annotation is type(None):
        return value is None or annotation is None
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (list, tuple):
        return _is_list(value)
    if annotation in (bool, str, dict):
        return isinstance(value, annotation)
    if isinstance(annotation, type) and (issubclass(annotation, os.PathLike) or annotation is os.PathLike):
        return isinstance(value, str)
    return True


def component_kind(annotation: Any) -> str | None:
    """The kind of component that an argument is, where its annotation says so.

    >>> component_kind(Union[Annotated[dict, Part("encoder")], None]), component_kind(int)
    ('encoder', None)
    """
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return next(filter(None, map(component_kind, typing.get_args(annotation))), None)
    return next((part.kind for part in getattr(annotation, "__metadata__", ()) if isinstance(part, Part)), None)


def described(annotation: Any) -> str:
    """An annotation in words, for messages.

    >>> described(Union[int, None]), described(Literal["a", "b"]), described(list[float])
    ('a whole number or null', "one of 'a', 'b'", 'a list of numbers')
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(described(choice) for choice in arguments)
    if origin is Annotated:
        return described(arguments[0])
    if origin is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)}: {', '.join(described(a).removeprefix('a ') for a in arguments)}"
    if origin in (list, tuple, collections.abc.Sequence, collections.abc.Iterable):
        return f"a list of {_PLURAL.get(arguments[0], described(arguments[0]))}" if arguments else "a list"
    if origin in (dict, collections.abc.Mapping):
        return "a map"
    return _DESCRIBED.get(annotation, getattr(annotation, "__name__", str(annotation)))


_DESCRIBED: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    dict: "a map",
    list: "a list",
    tuple: "a list",
    type(None): "null",
    Any: "anything",
}
_PLURAL: dict[Any, str] = {int: "whole numbers", float: "numbers", str: "texts", bool: "true or false"}


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations, evaluated; those of a class are its constructor's. Empty where a name in them is unknown."""
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target, include_extras=True)
    except Exception:  # whatever a plugin's annotations raise when they are evaluated: then types go unchecked
        return {}
