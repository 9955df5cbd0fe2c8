"""Settings as text, TOML or JSON carries them -> the types of their fields."""

import datetime
import types
import typing
from typing import Any, Literal

from recsys.errors import ConfigError


def typed(key: str, value: Any, wanted: Any, where: str) -> Any:
    """Convert a text or TOML value to the type of its field.

    Parameters
    ----------
    key : str
        section.key, to be named in an error.
    value : Any
    wanted : type
        Of the field: a type, a Literal, a tuple of str, or a union of these.
    where : str
        Where the value was given.

    Raises
    ------
    ConfigError
        It is of another type.
    """
    # `Literal[...] | None` is a typing.Union, `int | None` a types.UnionType.
    united = typing.get_origin(wanted) in (types.UnionType, typing.Union)
    options = typing.get_args(wanted) if united else (wanted,)
    if value == "none" and types.NoneType in options and not key.endswith("_column"):
        return None  # before a text takes it for its own; a column may be called so
    for option in options:
        converted = _as_type(value, option)
        if converted is not _MISFIT:
            return converted
    raise ConfigError(f"{where}: {key} is {value!r}, expected {_described(options)}")


_MISFIT = object()


def _as_type(value: Any, wanted: Any) -> Any:
    if wanted is types.NoneType:
        return None if value in (None, "", "none") else _MISFIT
    if typing.get_origin(wanted) is Literal:
        return value if value in typing.get_args(wanted) else _MISFIT
    if typing.get_origin(wanted) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        whole = isinstance(parts, list | tuple) and all(isinstance(each, str) for each in parts)
        return tuple(each.strip() for each in parts) if whole else _MISFIT
    if wanted is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        return value if isinstance(value, bool) else words.get(str(value).lower(), _MISFIT)
    if wanted is str:
        return _as_text(value)
    return _as_number(value, wanted)


def _as_text(value: Any) -> Any:
    """Take the dates and whole numbers of TOML, too, as they would be written."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else _MISFIT


def _as_number(value: Any, wanted: type[int] | type[float]) -> Any:
    if isinstance(value, bool) or (isinstance(value, float) and wanted is int):
        return _MISFIT
    try:
        return wanted(value)
    except (TypeError, ValueError):
        return _MISFIT


def _described(options: tuple[Any, ...]) -> str:
    words = []
    for option in options:
        if typing.get_origin(option) is Literal:
            words.append(f"one of {', '.join(typing.get_args(option))}")
        elif typing.get_origin(option) is tuple:
            words.append("a list of texts")
        else:
            names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
            words.append(names.get(option, "nothing"))
    return " or ".join(words)
