"""
A value that exists only once a task runs: what a template, an upstream task or a function will give.

Made by ``nbjobs plan`` in place of a parameter's value, and taken by ``parameters.py``, which checks what can be checked without it. Imports nothing else of the package.
"""

from __future__ import annotations

import msgspec


class NotKnown(msgspec.Struct, frozen=True):
    """
    Stands for a value.

    :param text: what it is made of, as a person wrote it: ``{{ ds }}``.
    """

    text: str
