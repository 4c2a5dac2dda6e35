"""Kernels as text: the source of a Python function together with all that it refers to.

A kernel of ours is a plain function. Emitted source must run without Ingot, so the function's own text is copied
into it, and so is the text of every module-level function, class and constant that it names, wherever that is
defined. Modules of Python and NumPy are imported. The two things of Ingot that kernels touch besides arrays,
dtypes and errors, are replaced with the few lines of `STAND_INS`.
"""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

from ...ir import dtypes, errors
from ...ir.errors import UnsupportedError

__all__ = ["STAND_IN_ERRORS", "Embedder", "can_embed"]

_ROOT = __name__.partition(".backends.")[0]

_DTYPE_CLASS = '''\
class DType:
    """An element type: its NumPy dtype and what kernels ask of it."""

    known = {}

    def __init__(self, name, kind, type_):
        self.name = name
        self.kind = kind
        self.np = np.dtype(type_)
        self.itemsize = self.np.itemsize
        self.is_floating_point = kind == "float"
        DType.known[self.np] = self

    @staticmethod
    def of(value):
        return value if isinstance(value, DType) else DType.known[np.dtype(value)]'''

_DTYPE_OBJECTS = "\n".join(
    f'{d.name if d.kind != "bool" else "bool_"} = DType("{d.name}", "{d.kind}", '
    f"{'np.bool_' if d.kind == 'bool' else 'np.' + d.name})"
    for d in (dtypes.bool_, *(d for d in dtypes.by_short.values() if d.kind != "bool" and d is not dtypes.bfloat16))
)

_ERROR = '''\
class {name}({base}):
    """Raised in place of Ingot's error of the same name."""

    def __init__(self, what, **details):
        super().__init__("; ".join([what, *(f"{{k}}: {{v}}" for k, v in details.items() if v)]))'''

_BASES = {"IndexOutOfRange": "IndexError", "DTypeError": "TypeError"}

# Names of error classes in emitted source; who loads it in a process with Ingot puts the true classes there.
STAND_IN_ERRORS = tuple(name for name in errors.__all__ if name != "IngotError")


@dataclass(slots=True)
class _Piece:
    """A definition in emitted source."""

    text: str
    names: tuple[str, ...]


@dataclass(slots=True)
class Embedder:
    """Collects definitions for one source, each once, those that others need first.

    Attributes:
        imports: import statements.
        pieces: definitions in an order in which they can be executed.
    """

    imports: dict[str, None] = field(default_factory=dict)
    pieces: dict[str, str] = field(default_factory=dict)
    _owners: dict[str, tuple[str, str]] = field(default_factory=dict)

    def function(self, function: Callable[..., Any]) -> str:
        """Embed a function; returns its name in the source.

        Raises:
            UnsupportedError: when its text cannot be had or refers to what cannot be copied; says what.
        """
        plain = inspect.unwrap(function)
        if not isinstance(plain, FunctionType):
            raise UnsupportedError(f"the source of {plain!r:.60} cannot be had")
        module = sys.modules.get(plain.__module__)
        name = plain.__name__
        if name.isidentifier() and module is not None and getattr(module, name, None) is plain:
            return self._named(module, name)
        return self._local(plain)

    # -- definitions

    def _named(self, module: ModuleType, name: str) -> str:
        """Embed what a module defines under a name."""
        owner = (module.__name__, name)
        if name in self._owners:
            if self._owners[name] == owner:
                return name
            raise UnsupportedError(
                f"two kernels use different things called {name!r}", found=f"{self._owners[name][0]} and {module.__name__}"
            )
        stand_in = self._stand_in(module, name)
        if stand_in:
            return name
        statement = _statements(module).get(name)
        if statement is None:
            raise UnsupportedError(f"{module.__name__}.{name} is not defined by a plain statement")
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self._imported(module, name, statement)
            return name
        for bound in _bound_names(statement):
            self._owners[bound] = (module.__name__, bound)
        self._define(name, _segment(module, statement), module.__dict__, module)
        return name

    def _local(self, function: FunctionType) -> str:
        """Embed a function that was defined within another one, or a lambda."""
        name = f"kernel_{len(self._owners)}" if function.__name__ == "<lambda>" else function.__name__
        owner = (function.__module__, f"{function.__qualname__}@{id(function)}")
        while name in self._owners and self._owners[name] != owner:
            name += "_"
        if name in self._owners:
            return name
        text = _function_text(function, name)
        self._owners[name] = owner
        closure = dict(zip(function.__code__.co_freevars, (_cell(c) for c in function.__closure__ or ()), strict=True))
        self._define(name, text, {**function.__globals__, **closure}, sys.modules.get(function.__module__), closure)
        return name

    def _define(
        self, name: str, text: str, known: dict[str, Any], module: ModuleType | None, closure: dict[str, Any] | None = None
    ) -> None:
        for other in _free_names(text):
            if other in self._owners and other not in (closure or {}):
                if module is not None and self._owners[other][1] == other and other not in known:
                    continue
            if other not in known:
                if not hasattr(builtins, other):
                    raise UnsupportedError(f"{name} refers to {other!r}, which is not known")
                continue
            if closure and other in closure:
                self._value(other, closure[other])
            elif module is not None and self._owners.get(other) != (module.__name__, other):
                self._named(module, other)
        self.pieces[name] = text

    def _value(self, name: str, value: Any) -> None:
        """Embed what a closure holds."""
        if isinstance(value, FunctionType):
            made = self.function(value)
            if made != name:
                self.pieces[name] = f"{name} = {made}"
            return
        if isinstance(value, ModuleType):
            self._module(name, value, ())
            return
        if not _is_literal(value):
            raise UnsupportedError(f"a kernel holds {name!r}, a {type(value).__name__}, which cannot be written as text")
        self._owners[name] = ("", name)
        self.pieces[name] = f"{name} = {value!r}"

    # -- imports

    def _imported(self, module: ModuleType, name: str, statement: ast.Import | ast.ImportFrom) -> None:
        value = getattr(module, name)
        if isinstance(value, ModuleType):
            self._module(name, value, _attributes_of(module, name))
            return
        assert isinstance(statement, ast.ImportFrom)
        source = _source_module(module, statement)
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        if not _is_ours(source.__name__):
            self._owners[name] = (module.__name__, name)
            self.imports[f"from {source.__name__} import {original}" + (f" as {name}" if name != original else "")] = None
            return
        self._named(source, original)
        if original != name:
            self._owners[name] = (module.__name__, name)
            self.pieces[name] = f"{name} = {original}"

    def _module(self, name: str, value: ModuleType, attributes: tuple[str, ...]) -> None:
        """A module as a name: an import, or for one of ours an object with what is used of it."""
        self._owners[name] = ("", name)
        if not _is_ours(value.__name__):
            text = f"import {value.__name__}"
            self.imports[text if value.__name__ == name else f"{text} as {name}"] = None
            return
        entries = ", ".join(f"{a}={self._named(value, a)}" for a in attributes)
        self.imports["from types import SimpleNamespace"] = None
        self.pieces[name] = f"{name} = SimpleNamespace({entries})"

    def _stand_in(self, module: ModuleType, name: str) -> bool:
        if module.__name__ == errors.__name__:
            self._owners[name] = (module.__name__, name)
            self.pieces[name] = _ERROR.format(name=name, base=_BASES.get(name, "ValueError"))
            return True
        if module.__name__ != dtypes.__name__:
            return False
        for own in ("DType", *(("bool_" if d.kind == "bool" else d.name) for d in dtypes.by_short.values())):
            self._owners.setdefault(own, (module.__name__, own))
        self.imports["import numpy as np"] = None
        self.pieces.setdefault("DType", f"{_DTYPE_CLASS}\n\n\n{_DTYPE_OBJECTS}")
        if name == "bfloat16":
            self.imports["import ml_dtypes"] = None
            self.pieces.setdefault("bfloat16", 'bfloat16 = DType("bfloat16", "float", ml_dtypes.bfloat16)')
        return True


@lru_cache(maxsize=4096)
def can_embed(function: Callable[..., Any]) -> str | None:
    """Why a kernel cannot be copied into emitted source, or None if it can."""
    try:
        Embedder().function(function)
    except UnsupportedError as error:
        return error.what
    return None


# -------------------------------------------------------------------------------------------------------- reading


def _is_ours(module: str) -> bool:
    return module == _ROOT or module.startswith(_ROOT + ".")


def _is_literal(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_literal, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _module_text(module: ModuleType) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        raise UnsupportedError(f"the source of module {module.__name__} cannot be had") from None


@lru_cache(maxsize=256)
def _module_tree(module: ModuleType) -> ast.Module:
    return ast.parse(_module_text(module))


@lru_cache(maxsize=256)
def _statements(module: ModuleType) -> dict[str, ast.stmt]:
    """The statement that binds each module-level name; the last one counts, as it does when the module runs."""
    return {name: statement for statement in _top_level(_module_tree(module).body) for name in _bound_names(statement)}


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.dump(statement.test):
            yield from _top_level(statement.body)
            yield from _top_level(statement.orelse)


def _bound_names(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def _segment(module: ModuleType, statement: ast.stmt) -> str:
    """The statement's text, decorators included; an annotated assignment loses its annotation."""
    lines = _module_text(module).splitlines()
    if isinstance(statement, ast.AnnAssign):
        assert statement.value is not None
        value = ast.get_source_segment(_module_text(module), statement.value)
        return f"{ast.unparse(statement.target)} = {value}"
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
    return textwrap.dedent("\n".join(lines[first - 1 : statement.end_lineno]))


def _source_module(module: ModuleType, statement: ast.ImportFrom) -> ModuleType:
    package = module.__package__ or ""
    if statement.level:
        parts = package.split(".")
        package = ".".join(parts[: len(parts) - statement.level + 1])
        return sys.modules[f"{package}.{statement.module}" if statement.module else package]
    return sys.modules[statement.module or ""]


def _attributes_of(module: ModuleType, name: str) -> tuple[str, ...]:
    """What a module uses of another one: the x of every `name.x`."""
    found = {
        node.attr: None
        for node in ast.walk(_module_tree(module))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }
    return tuple(found)


def _function_text(function: FunctionType, name: str) -> str:
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise UnsupportedError(f"the source of {function.__qualname__} cannot be had") from None
    if function.__name__ != "<lambda>":
        return text.rstrip("\n")
    return f"{name} = {_lambda_text(function)}"


def _lambda_text(function: FunctionType) -> str:
    """The text of a lambda, which `inspect` gives only with the statement around it."""
    path = inspect.getsourcefile(function)
    text = inspect.getsource(sys.modules[function.__module__]) if path else ""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Lambda) and node.lineno == function.__code__.co_firstlineno:
            code = compile(ast.Expression(node), "<lambda>", "eval").co_consts[0]
            if isinstance(code, CodeType) and _same_code(code, function.__code__):
                found = ast.get_source_segment(text, node)
                assert found is not None
                return f"({found})"
    raise UnsupportedError(f"the source of a lambda in {function.__module__} cannot be had")


def _same_code(a: CodeType, b: CodeType) -> bool:
    return (a.co_code, a.co_names, a.co_varnames, repr(a.co_consts)) == (
        b.co_code,
        b.co_names,
        b.co_varnames,
        repr(b.co_consts),
    )


@lru_cache(maxsize=4096)
def _free_names(text: str) -> tuple[str, ...]:
    """The global names that a definition reads, annotations left out, in order of appearance."""
    import __future__

    code = compile(text, "<definition>", "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    found: dict[str, None] = {}
    stored: set[str] = set()
    waiting = [code]
    while waiting:
        current = waiting.pop()
        for instruction in dis.get_instructions(current):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                found[instruction.argval] = None
            elif instruction.opname in ("STORE_NAME", "STORE_GLOBAL"):
                stored.add(instruction.argval)
        waiting.extend(c for c in current.co_consts if isinstance(c, CodeType))
    return tuple(n for n in found if n not in stored and n not in ("__name__", "__qualname__", "__module__"))
