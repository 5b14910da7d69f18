"""
What IAM says of one request under the policies of one identity: the part of its rules that our policies use, and nothing approximated.

Not moto's: it matches a resource only where a backend passes one, takes a false condition for a denial, and ``.`` for any character. What is not known here
(another operator, a principal) is an error, not an answer.

Source: IAM user guide, *Policy evaluation logic* and *IAM JSON policy elements reference*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_KNOWN = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}


@dataclass(frozen=True)
class Request:
    """One action on one resource, with the condition keys that AWS sends along."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.action, self.resource, *sorted(self.context.items())))


def allows(policy: Mapping[str, Any], request: Request) -> bool:
    """Say whether a request is allowed: some statement allows it, and none denies it."""
    effects = [statement["Effect"] for statement in policy["Statement"] if _applies(statement, request)]
    assert set(effects) <= {"Allow", "Deny"}
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: Mapping[str, Any], request: Request) -> bool:
    if unknown := set(statement) - _KNOWN:
        raise ValueError(f"not known here: {', '.join(sorted(unknown))}")
    return (
        _names(statement, "Action", lambda pattern: _is_like(request.action.lower(), pattern.lower()))
        and _names(statement, "Resource", lambda pattern: _is_like(request.resource, pattern))
        and all(
            _holds(operator, request.context, key, _list(values))
            for operator, pairs in statement.get("Condition", {}).items()
            for key, values in pairs.items()
        )
    )


def _names(statement: Mapping[str, Any], element: str, matches: Callable[[str], bool]) -> bool:
    """Say whether ``Action`` or ``Resource`` names something, or ``NotAction`` or ``NotResource`` does not; a statement has one of the two."""
    ((is_negated, patterns),) = [
        (name.startswith("Not"), _list(statement[name])) for name in (element, f"Not{element}") if name in statement
    ]
    return any(matches(pattern) for pattern in patterns) is not is_negated


def _holds(operator: str, context: Mapping[str, str], key: str, values: Iterable[str]) -> bool:
    """Say whether a condition holds; one on a key that the request does not have does not."""
    compare: dict[str, Callable[[str, str], bool]] = {
        "StringEquals": str.__eq__,
        "StringLike": _is_like,
        "Bool": lambda given, wanted: given.lower() == wanted.lower(),
    }
    if operator not in compare:
        raise ValueError(f"not known here: the operator {operator}")
    given = {name.lower(): value for name, value in context.items()}.get(key.lower())
    return given is not None and any(compare[operator](given, value) for value in values)


def _is_like(text: str, pattern: str) -> bool:
    """Say whether ``*`` and ``?`` of a pattern match; ``${*}``, ``${?}`` and ``${$}`` are those characters themselves, another variable is an error."""
    written = ""
    for part in re.findall(r"\$\{.*?\}|.", pattern, re.DOTALL):
        if part.startswith("${"):
            if part not in ("${*}", "${?}", "${$}"):
                raise ValueError(f"not known here: the variable {part}")
            written += re.escape(part[2])
        else:
            written += {"*": ".*", "?": "."}.get(part) or re.escape(part)
    return re.fullmatch(written, text, re.DOTALL) is not None


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
