"""OpenCC's conversions, asked for by name and character by character."""

from collections.abc import Iterable
from typing import Any

from recsys.errors import ConfigError


def converter(conversion: str) -> Any:
    """Make an OpenCC converter, such as "t2s" (traditional to simplified).

    Raises
    ------
    ConfigError
        When opencc is not installed.
    """
    try:
        import opencc
    except ImportError as error:
        raise ConfigError(
            "the package opencc is not installed: run pip install 'recsys-vae[verse]'"
        ) from error
    return opencc.OpenCC(conversion)


def convert_each(characters: Iterable[str], conversion: Any) -> dict[str, str]:
    """Convert each character by itself: a run could form a phrase that converts otherwise."""
    apart = [character for character in characters if character != "\n"]
    converted = conversion.convert("\n".join(["", *apart])).split("\n")[1:]
    return {"\n": "\n", **dict(zip(apart, converted, strict=True))}
