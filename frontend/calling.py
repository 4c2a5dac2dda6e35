"""A call of a program: arguments to the graph's inputs, the graph's outputs to results.

What lives here: arguments by parameter, their fit to the captured structure, what the program writes back into them,
and results of the user's own types. What runs in between is `program`'s subject.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import numpy as np

from ..ir.arrays import is_array
from ..ir.errors import ArgumentError
from ..ir.locations import here
from ..ir.program import Signature
from ..ir.trees import LEAVES, RECORDS, Tree, Types, leaf_trees, record_fields, record_kind, show_tree, unflatten
from .inplace import assign
from .mode import mode
from .tensor_base import TensorBase, wrap

__all__ = ["Caller"]

_NUMBERS: Final[dict[str, tuple[type, ...]]] = {
    "int": (int, np.integer),
    "float": (float, np.floating),
    "bool": (bool, np.bool_),
}
_LEAF: Final = {"kind": "leaf"}
_MADE: Final[dict[str, Callable[[Any], Any]]] = {"int": int, "float": float, "bool": bool}


class Caller:
    """How one entry point is called.

    Args:
        signature: what it takes and gives.
        types: the user's classes for the records in it.

    Attributes:
        plain: whether it takes tensors alone, one by one, and changes none of them.
    """

    __slots__ = ("_count", "_numbers", "_plain_result", "_types", "plain", "signature")

    def __init__(self, signature: Signature, types: Types) -> None:
        self.signature = signature
        self._types = types
        trees = list(leaf_trees(signature.result))
        self._count = len(trees)
        self._numbers = [(i, tree["type"]) for i, tree in enumerate(trees) if tree["kind"] == "number"]
        self._plain_result = not signature.writes and not signature.after
        changes = signature.copies or not self._plain_result
        self.plain = not changes and all(tree == _LEAF for tree in signature.arguments) and not any(signature.kinds)

    # -- arguments

    def leaves(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The inputs of the graph: tensors, arrays and numbers.

        Raises:
            ArgumentError: for a missing or unknown argument, one of another structure, a constant of another value, or
                arguments that share memory where the program changes one of them.
        """
        plain = self.plain and not kwargs and len(args) == len(self.signature.parameters)
        if plain and all(isinstance(x, TensorBase) or is_array(x) for x in args):
            return list(args)
        found: list[Any] = []
        signature = self.signature
        for (name, value), tree in zip(_by_name(signature, args, kwargs).items(), signature.arguments, strict=True):
            self._match(tree, value, name, "", found)
        if signature.writes or signature.copies:
            self._check_memory(found)
        return found

    def _match(self, tree: Tree, value: Any, name: str, where: str, found: list[Any]) -> None:
        """Add a value's leaves, when it has the structure of a tree."""
        kind = tree["kind"]
        if kind == "leaf":
            found.append(_tensor(value, name, where))
        elif kind == "number":
            found.append(_number(tree["type"], value, name, where))
        elif kind in ("none", "constant"):
            if not _same_constant(tree.get("value"), value):
                raise _other_constant(tree, value, name, where)
        else:
            for item, (inner, at) in zip(tree["items"], self._items(tree, value, name, where), strict=True):
                self._match(item, inner, name, at, found)

    def _items(self, tree: Tree, value: Any, name: str, where: str) -> Iterator[tuple[Any, str]]:
        kind, keys = tree["kind"], list(tree.get("keys", ()))
        if kind in RECORDS and _is_record_of(tree, value):
            return ((getattr(value, key), f"{where}.{key}") for key in keys)
        if kind in ("dict", *RECORDS) and isinstance(value, dict):
            if value.keys() != set(keys):
                raise _other_structure(tree, value, name, where)
            if kind == "dict" and not tree.get("any_order") and list(value) != keys:
                raise ArgumentError(
                    f"argument '{name}'{where} has its keys in another order, and the program goes through them",
                    expected=", ".join(keys),
                    found=", ".join(value),
                    location=here(),
                )
            return ((value[key], f"{where}[{key!r}]") for key in keys)
        wanted = list if kind == "list" else tuple
        fits = isinstance(value, wanted) and kind not in ("dict", "dataclass") and not record_kind(value)
        if not fits or len(value) != len(tree["items"]):
            raise _other_structure(tree, value, name, where)
        return ((item, f"{where}[{i}]") for i, item in enumerate(value))

    def _check_memory(self, leaves: Sequence[Any]) -> None:
        """What the program changes must be memory of its own: the capture saw no other."""
        arrays = [x._array if isinstance(x, TensorBase) else x for x in leaves]
        for i in self.signature.writes:
            if isinstance(arrays[i], np.ndarray) and not arrays[i].flags.writeable:
                raise ArgumentError(
                    "the program writes to an argument that is read-only",
                    found=f"input {i} of the program",
                    location=here(),
                    advice="pass a copy",
                )
        for i in (*self.signature.writes, *self.signature.copies):
            for k, other in enumerate(arrays):
                both = isinstance(other, np.ndarray) and isinstance(arrays[i], np.ndarray)
                if k != i and both and other.size and np.may_share_memory(other, arrays[i]):
                    raise ArgumentError(
                        "two arguments share memory, and the program changes one of them in place",
                        expected="arguments in memory of their own, as when the program was captured",
                        found=f"inputs {min(i, k)} and {max(i, k)} of the program",
                        location=here(),
                        advice="clone() one of them",
                    )

    # -- results

    def result(self, leaves: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The result of a call from the graph's outputs; what the program changes is written to the caller's
        arguments first.

        Args:
            leaves: what `leaves` gave.
            outputs: tensors, arrays and numbers.
        """
        found = [wrap(x) if is_array(x) else x for x in outputs]
        for i, kind in self._numbers:
            found[i] = _made_number(kind, found[i])
        if not self._plain_result:
            for i, new in zip(self.signature.writes, found[self._count :], strict=False):
                _write(leaves[i], new)
        return unflatten(self.signature.result, found[: self._count], self._types)

    def quick_result(self) -> Callable[[Sequence[Any], Sequence[Any]], Any]:
        """`result` for a plain caller: a function that does not go through the tree where that is flat."""
        tree, result = self.signature.result, self.result
        if tree == _LEAF:

            def single(leaves: Sequence[Any], outputs: Sequence[Any]) -> Any:
                found = outputs[0]
                return wrap(found) if found.__class__ is np.ndarray else result(leaves, outputs)

            return single
        if tree["kind"] != "tuple" or any(item != _LEAF for item in tree["items"]):
            return result

        def several(leaves: Sequence[Any], outputs: Sequence[Any]) -> Any:
            for found in outputs:
                if found.__class__ is not np.ndarray:
                    return result(leaves, outputs)
            return tuple([wrap(found) for found in outputs])

        return several

    def write_containers(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], leaves: Sequence[Any], outputs: Sequence[Any]
    ) -> None:
        """Change the lists, dicts and records among the arguments as the function does."""
        if not self.signature.after:
            return
        values = _by_name(self.signature, args, kwargs)
        new = iter([wrap(x) if is_array(x) else x for x in outputs[self._count + len(self.signature.writes) :]])
        for name, tree in self.signature.after.items():
            self._become(values[name], tree, leaves, new)

    def _become(self, old: Any, tree: Tree, leaves: Sequence[Any], new: Iterator[Any]) -> Any:
        """The value of a tree; a list, dict or record that is there already is changed into it."""
        kind = tree["kind"]
        if kind == "input":
            return leaves[tree["index"]]
        if kind in LEAVES:
            return _made_number(tree["type"], next(new)) if kind == "number" else next(new)
        if kind in ("none", "constant"):
            return tree.get("value")
        keys = tree.get("keys") or list(range(len(tree["items"])))
        before = _parts(old)
        items = [
            self._become(before.get(key), item, leaves, new) for key, item in zip(keys, tree["items"], strict=True)
        ]
        if kind == "list" and isinstance(old, list):
            old[:] = items
        elif kind == "dict" and isinstance(old, dict):
            old.clear()
            old.update(zip(keys, items, strict=True))
        elif kind == "dataclass" and record_kind(old) == "dataclass":
            for key, item in zip(keys, items, strict=True):
                object.__setattr__(old, key, item)
        else:
            return _made(tree, items, self._types)
        return old


def _is_record_of(tree: Tree, value: Any) -> bool:
    """Whether it is a record of the captured type, as far as a file tells: another one has other methods."""
    known = bool(record_kind(value)) and type(value).__name__ == tree["name"]
    return known and record_fields(value) == tuple(tree["keys"])


def _parts(value: Any) -> dict[Any, Any]:
    if isinstance(value, dict):
        return value
    if isinstance(value, (list, tuple)) and not record_kind(value):
        return dict(enumerate(value))
    return {key: getattr(value, key) for key in record_fields(value)} if record_kind(value) else {}


def _made(tree: Tree, items: Sequence[Any], types: Types) -> Any:
    """A new container over its items, whatever those are."""
    return unflatten({**tree, "items": [{"kind": "leaf"}] * len(items)}, items, types)


def _write(target: Any, new: Any) -> None:
    if isinstance(target, TensorBase):
        assign(target, new)  # type: ignore[arg-type]
    else:
        target[...] = new._array


# -------------------------------------------------------------------------------------------------- single values


def _tensor(value: Any, name: str, where: str) -> Any:
    if isinstance(value, TensorBase) or is_array(value):
        return value
    if isinstance(value, np.generic):
        return np.asarray(value)
    if isinstance(value, (bool, int, float)):
        advice = f"pass a tensor: ingot.tensor({value!r})"
    else:
        advice = "strings are constants of a program" if isinstance(value, str) else ""
    raise ArgumentError(
        f"argument '{name}'{where} has another structure than the captured one",
        expected="tensor",
        found=_shown(value),
        location=here(),
        advice=advice,
    )


def _made_number(kind: str, value: Any) -> Any:
    """An output as a Python number; while another program is captured, as a run-time number of that."""
    found: Any = value
    if isinstance(found, TensorBase):
        found = found.item()  # type: ignore[attr-defined]
    return found if mode.tracer is not None else _MADE[kind](found)


def _number(kind: str, value: Any, name: str, where: str) -> Any:
    if mode.tracer is not None and type(value).__name__ == f"Sym{kind.title()}":
        return value
    if isinstance(value, _NUMBERS[kind]) and (kind == "bool" or not isinstance(value, bool)):
        return _MADE[kind](value)
    raise ArgumentError(
        f"argument '{name}'{where} is {_shown(value)}, which is no {kind}",
        expected=f"a number of type {kind}",
        location=here(),
        advice=_advice_on_number(value),
    )


def _advice_on_number(value: Any) -> str:
    if isinstance(value, TensorBase):
        return "pass the number: item() gives it"
    # With an integer the function itself would compute integers.
    return f"pass {float(value)!r}" if isinstance(value, (int, np.integer)) and not isinstance(value, bool) else ""


def _same_constant(captured: Any, value: Any) -> bool:
    if isinstance(value, np.generic):
        value = value.item()
    if type(captured) is not type(value):
        return False
    if isinstance(captured, float):
        same = captured == value or (math.isnan(captured) and math.isnan(value))
        return same and math.copysign(1, captured) == math.copysign(1, value)
    return bool(captured == value)


def _other_constant(tree: Tree, value: Any, name: str, where: str) -> ArgumentError:
    captured = tree.get("value")
    if not isinstance(value, (bool, int, float, str)) or captured is None:
        return _other_structure(tree, value, name, where)
    if isinstance(captured, str) or isinstance(value, str):
        advice = "strings are constants: trace an entry point for each value"
    else:
        advice = f"to let calls choose it, mark it when tracing: ingot.jit.runtime({captured!r})"
    return ArgumentError(
        f"argument '{name}'{where} is a constant of the program",
        expected=f"{captured!r}, as when it was captured",
        found=repr(value),
        location=here(),
        advice=advice,
    )


def _other_structure(tree: Tree, value: Any, name: str, where: str) -> ArgumentError:
    advice = ""
    if tree["kind"] == "dict" and isinstance(value, dict):
        missing = [key for key in tree["keys"] if key not in value]
        more = [key for key in value if key not in tree["keys"]]
        what = [f"no {key!r}" for key in missing] + [f"the unknown key {key!r}" for key in more]
        advice = f"there is {' and '.join(what[:4])}; the keys of a dict are fixed when it is captured"
    return ArgumentError(
        f"argument '{name}'{where} has another structure than the captured one",
        expected=show_tree(tree),
        found=_shown(value),
        location=here(),
        advice=advice,
    )


def _shown(value: Any, depth: int = 0) -> str:
    """A value's structure, as `show_tree` shows a tree's."""
    if isinstance(value, TensorBase) or is_array(value):
        return "tensor"
    if value is None or isinstance(value, (bool, int, float, str)):
        text = repr(value)
        return text if len(text) < 80 else text[:77] + "..."
    if depth > 8:
        return "..."
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(item, depth + 1)}" for key, item in value.items()) + "}"
    if record_kind(value):
        items = (f"{key}={_shown(getattr(value, key), depth + 1)}" for key in record_fields(value))
        return f"{type(value).__name__}({', '.join(items)})"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(_shown(item, depth + 1) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return f"a value of type {type(value).__name__}"


# ------------------------------------------------------------------------------------------------------- binding


def _by_name(signature: Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by parameter, in the parameters' order."""
    names = signature.parameters
    kinds = dict(zip(names, signature.kinds or ("",) * len(names), strict=True))
    places = [name for name in names if kinds[name] in ("", "/")]
    rest = next((name for name in names if kinds[name] == "*"), None)
    others = next((name for name in names if kinds[name] == "**"), None)
    if len(args) > len(places) and rest is None:
        raise ArgumentError(
            f"{len(args)} arguments for a program that takes {len(places)}", expected=_call(signature), location=here()
        )
    values = dict(zip(places, args, strict=False))
    if rest is not None:
        values[rest] = tuple(args[len(places) :])
    if others is not None:
        values[others] = {}
    for name, value in kwargs.items():
        if name in values and kinds.get(name) in ("", "="):
            raise ArgumentError(f"argument '{name}' is given twice", expected=_call(signature), location=here())
        if kinds.get(name) in ("", "="):
            values[name] = value
        elif others is not None:
            values[others][name] = value
        else:
            raise _unknown(signature, name, kinds)
    return {name: values[name] if name in values else _default(signature, name) for name in names}


def _unknown(signature: Signature, name: str, kinds: Mapping[str, str]) -> ArgumentError:
    if kinds.get(name) == "/":
        what, advice = f"argument '{name}' is given by position alone", ""
    else:
        what = f"argument '{name}' is not a parameter of the program"
        close = get_close_matches(name, signature.parameters, 1)
        advice = f"did you mean {close[0]}?" if close else ""
    return ArgumentError(what, expected=_call(signature), location=here(), advice=advice)


def _default(signature: Signature, name: str) -> Any:
    """What stands for an argument that a call leaves out."""
    tree = signature.defaults.get(name)
    if tree is None:
        raise ArgumentError(f"argument '{name}' is missing", expected=_call(signature), location=here())
    captured = signature.arguments[signature.parameters.index(name)]
    if captured != tree and captured["kind"] != "number":
        raise ArgumentError(
            f"argument '{name}' is missing: its default is not what the program was captured with",
            expected=show_tree(captured),
            found=show_tree(tree),
            location=here(),
        )
    return unflatten(tree, ())


def _call(signature: Signature) -> str:
    return ", ".join(f"{signature.kind(i).strip('/=')}{name}" for i, name in enumerate(signature.parameters))
