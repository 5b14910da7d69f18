"""
CSS of a notebook, cut to what styles its own output only and requests nothing.

Called by ``clean.py`` and ``pictures.py``. Parsed by tinycss2, which reads escapes as a browser does; what ``allowed.py`` does not name is dropped.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import tinycss2

from airflow_nbjobs.ui.rendering.allowed import CSS_COLOURS, CSS_FUNCTIONS, CSS_PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NO_COLOURS = {"inherit", "initial", "unset", "transparent", "none", "currentcolor"}
_VARIABLE = re.compile(r"--[A-Za-z0-9_-]+")
_POSITIONS = {"static", "relative", "absolute"}  # what is fixed, or sticks, stays in view over cells that others wrote
_TESTS = {"not", "is", "where", "has", "nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type", "lang", "dir"}
_COMBINATORS = {">", "+", "~"}
_SELECTOR_LITERALS = _COMBINATORS | {"*", ".", ":", ",", "|", "=", "~=", "|=", "^=", "$=", "*=", "-"}
_SELECTOR_TOKENS = {"whitespace", "ident", "hash", "string", "number", "dimension"}
_ROOTS = {":root", "html", "body", ":host"}


class Styles:
    """
    The styles of one piece of HTML.

    :ivar has_colours: it brings colours of its own, which go with a light page only.
    """

    def __init__(self) -> None:
        self.has_colours = False
        self._known: dict[str, str] = {}

    def sanitize_css(self, text: str) -> str:
        """Return the declarations of a ``style`` attribute; the name is bleach's."""
        if text not in self._known:  # a table has the same in each of its cells
            try:
                found = tinycss2.parse_declaration_list(text, skip_comments=True)
                self._known[text] = _text(self._declarations(found))
            except RecursionError:
                self._known[text] = ""
        return self._known[text]

    def sheet(self, text: str, scope: str) -> str:
        """
        Return a style sheet whose rules apply to nothing but descendants of the element with the id ``scope``.

        Its at-rules are dropped: what they import, load or make depend on the reader's screen.
        """
        try:
            parsed = tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
            rules = [self._rule(rule, scope) for rule in parsed if rule.type == "qualified-rule"]
        except RecursionError:
            return ""
        # In a text of CSS the escape is the same character; to a parser of HTML it is no tag.
        return "\n".join(filter(None, rules)).replace("<", "\\3c ")

    def _rule(self, rule: Any, scope: str) -> str:
        selectors = [each for each in map(_selector, _split(rule.prelude)) if each]
        roots = [each for each in selectors if each in _ROOTS]
        inner = [f"#{scope} {each}" for each in selectors if each not in _ROOTS]
        found = list(self._declarations(tinycss2.parse_declaration_list(rule.content, skip_comments=True)))
        # The author's page root is our element here: it passes on variables; its look is ours.
        variables = [each for each in found if each.name.startswith("--")]
        made = []
        if roots and variables:
            made.append(f"#{scope} {{ {_text(variables)} }}")
        if inner and found:
            made.append(f"{', '.join(inner)} {{ {_text(found)} }}")
        return "\n".join(made)

    def _declarations(self, nodes: Iterable[Any]) -> Iterator[Any]:
        for node in nodes:
            if node.type != "declaration" or not _is_kept(node):
                continue
            if node.lower_name in CSS_COLOURS and not _has_only(node.value, _NO_COLOURS):
                self.has_colours = True
            yield node


def asks_outside(text: str) -> bool:
    """Say whether CSS, or an attribute of SVG, names anything beyond its own document; in doubt, yes."""
    if "\\" not in text and "(" not in text and "@" not in text:
        return False
    try:
        tokens = list(_flat(tinycss2.parse_component_value_list(text)))
    except RecursionError:
        return True
    for place, token in enumerate(tokens):
        if token.type in ("error", "at-keyword"):
            return True
        if token.type == "url" and not token.value.startswith("#"):
            return True
        if token.type == "function" and token.lower_name in ("url", "src", "image", "image-set", "expression"):
            following = tokens[place + 1] if place + 1 < len(tokens) else None
            if following is None or following.type != "string" or not following.value.startswith("#"):
                return True
    return False


def _is_kept(declaration: Any) -> bool:
    name = declaration.lower_name
    if name not in CSS_PROPERTIES and not _VARIABLE.fullmatch(name):
        return False
    if name == "position" and not _has_only(declaration.value, _POSITIONS):
        return False
    for token in _flat(declaration.value):
        if token.type in ("error", "url", "at-keyword", "{} block"):
            return False
        if token.type == "function" and token.lower_name not in CSS_FUNCTIONS:
            return False
    return True


def _has_only(tokens: Iterable[Any], names: set[str]) -> bool:
    return all(token.type == "whitespace" or (token.type == "ident" and token.lower_value in names) for token in tokens)


def _flat(tokens: Iterable[Any]) -> Iterator[Any]:
    """Yield tokens, each with those between its brackets behind it."""
    for token in tokens:
        yield token
        yield from _flat(token.arguments if token.type == "function" else getattr(token, "content", None) or ())


def _text(declarations: Iterable[Any]) -> str:
    return " ".join(
        f"{each.name}: {tinycss2.serialize(each.value).strip()}{' !important' if each.important else ''};"
        for each in declarations
    )


def _split(prelude: Iterable[Any]) -> list[list[Any]]:
    parts: list[list[Any]] = [[]]
    for token in prelude:
        if token.type == "literal" and token.value == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _selector(tokens: list[Any]) -> str:
    """Return one selector; empty where it could match outside the scope that is put before it, or shows which links a reader has visited."""
    if not all(_may_select(token) for token in _flat(tokens)):
        return ""
    first = next((token for token in tokens if token.type != "whitespace"), None)
    if first is None or (first.type == "literal" and first.value in _COMBINATORS):
        return ""
    flat = list(_flat(tokens))
    for colon, token in pairwise(flat):
        if colon == ":" and token.type == "ident" and token.lower_value == "visited":
            return ""
    return str(tinycss2.serialize(tokens)).strip()


def _may_select(token: Any) -> bool:
    if token.type == "literal":
        return token.value in _SELECTOR_LITERALS
    if token.type == "function":
        return token.lower_name in _TESTS
    return token.type in _SELECTOR_TOKENS or token.type == "[] block"
