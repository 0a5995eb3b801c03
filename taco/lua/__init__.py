"""The Lua scripts that run inside Redis, loaded by name.

`taco send` starts for every message: pathlib and importlib.resources would cost it 9 ms each.
"""
# ruff: noqa: PTH118, PTH120, PTH123

from __future__ import annotations

import os
from functools import cache

_HERE = os.path.dirname(__file__)


@cache
def source(name: str) -> str:
    """The text of `<name>.lua` with `library.lua`, which all scripts share, in front of it."""
    return _read("library") + _read(name)


def _read(name: str) -> str:
    with open(os.path.join(_HERE, f"{name}.lua"), encoding="utf-8") as file:
        return file.read()
