"""Signatures as JSON: `{"parameters": [...], "arguments": [...], "result": ...}`.

Where they are not empty, there are `kinds`, `defaults`, `writes`, `copies` and `after` as well, which mean what
`ir.program.Signature` says.

Trees themselves are `nested_values`' subject; what of a signature must fit its graph is `record_rules`'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..ir.errors import ArgumentError, FileFormatError
from ..ir.program import Signature
from ..ir.trees import Tree
from .limits import MAX_NAME
from .nested_values import encode_tree, is_plain_tree, read_tree
from .strict_json import fields_of, integer, is_text, sequence, text

__all__ = ["encode_signature", "is_plain_signature", "read_signature"]

_KEYS: Final = ("arguments", "parameters", "result")
_MORE: Final = ("after", "copies", "defaults", "kinds", "writes")
_KINDS: Final = ("", "/", "=", "*", "**")
_MOST_INPUTS: Final = 2**31


def encode_signature(signature: Signature) -> dict[str, Any]:
    """A signature as JSON.

    Raises:
        ArgumentError: for a name or a constant that a file does not hold.
    """
    found: dict[str, Any] = {
        "arguments": [encode_tree(tree) for tree in signature.arguments],
        "parameters": [_checked_name(parameter) for parameter in signature.parameters],
        "result": encode_tree(signature.result),
    }
    more = {
        "after": _pairs(signature.after),
        "copies": list(signature.copies),
        "defaults": _pairs(signature.defaults),
        "kinds": list(signature.kinds),
        "writes": list(signature.writes),
    }
    return found | {key: value for key, value in more.items() if value}


def is_plain_signature(signature: Signature) -> bool:
    """Whether the first version of the format can hold it."""
    more = signature.kinds or signature.defaults or signature.writes or signature.copies or signature.after
    return not more and all(map(is_plain_tree, (*signature.arguments, signature.result)))


def read_signature(value: Any, what: str) -> Signature:
    """The signature that a JSON value stands for.

    Raises:
        FileFormatError: when it stands for none.
    """
    given = [key for key in _MORE if type(value) is dict and key in value]
    fields = fields_of(value, what, (*_KEYS, *given))
    parameters = tuple(text(p, f"{what}: a parameter") for p in sequence(fields["parameters"], what))
    arguments = tuple(read_tree(tree, what) for tree in sequence(fields["arguments"], what))
    return Signature(
        parameters,
        arguments,
        read_tree(fields["result"], what),
        kinds=tuple(_kind(kind, what) for kind in sequence(fields.get("kinds", []), what)),
        defaults=_read_pairs(fields.get("defaults", []), what, lambda tree: read_tree(tree, what)),
        writes=_numbers(fields.get("writes", []), what),
        copies=_numbers(fields.get("copies", []), what),
        after=_read_pairs(fields.get("after", []), what, lambda tree: read_tree(tree, what, with_inputs=True)),
    )


def _pairs(trees: Mapping[str, Tree]) -> list[Any]:
    return [[_checked_name(name), encode_tree(tree)] for name, tree in trees.items()]


def _read_pairs(value: Any, what: str, read: Callable[[Any], Tree]) -> dict[str, Tree]:
    found: dict[str, Tree] = {}
    for pair in sequence(value, what):
        name, tree = sequence(pair, what, 2)
        if text(name, f"{what}: a parameter") in found:
            raise FileFormatError(f"{what}: parameter {name!r} stands there twice")
        found[name] = read(tree)
    return found


def _kind(value: Any, what: str) -> str:
    if type(value) is not str or value not in _KINDS:
        raise FileFormatError(f"{what}: a parameter is given in an unknown way", expected=" ".join(map(repr, _KINDS)))
    return value


def _numbers(value: Any, what: str) -> tuple[int, ...]:
    return tuple(integer(number, f"{what}: an input", 0, _MOST_INPUTS) for number in sequence(value, what))


def _checked_name(name: str) -> str:
    if not is_text(name, MAX_NAME):
        raise ArgumentError(f"the name {name[:80]!a} cannot be saved", expected=f"at most {MAX_NAME} characters")
    return name
