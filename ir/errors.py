"""The error family: one clear message that says what is wrong, what was expected, and where.

Every error that Ingot raises on purpose is an `IngotError`. Its text has one form, whoever raises it:

    linear: inner sizes differ
      expected  input.size(-1) == weight.size(-1)
      found     783 != 784        input: f32[32, 783]   weight: f32[128, 784]
      at model.py:12:12, in Net.forward  (fc1)
          h = self.fc1(x)
              ^^^^^^^^^^^
      while tracing @forward
      pass a tensor whose last size is 784

What lives here: the classes and their rendering. How a location is found is `locations`' subject.
"""

from __future__ import annotations

from .locations import Location

__all__ = [
    "ArgumentError",
    "AssertError",
    "CaptureError",
    "DTypeError",
    "ExportError",
    "FileFormatError",
    "GradientError",
    "IndexOutOfRange",
    "IngotError",
    "ParseError",
    "ShapeError",
    "TimeLimitError",
    "UnsupportedError",
    "VerifyError",
]


class IngotError(RuntimeError):
    """Base class of Ingot's errors.

    Args:
        what: the first line, in the op's own parameter names.
        expected: the condition that should have held.
        found: what was there instead.
        notes: further facts, shown behind `found` (types of the operands, for instance).
        location: the user's line.
        path: the module path at that line, such as `"fc1"`.
        context: what was going on, such as `"while tracing @forward"`.
        advice: the way out, shown last.

    >>> print(ShapeError("linear: inner sizes differ", expected="a == b", found="783 != 784"))
    linear: inner sizes differ
      expected  a == b
      found     783 != 784
    """

    def __init__(
        self,
        what: str,
        *,
        expected: str = "",
        found: str = "",
        notes: tuple[str, ...] = (),
        location: Location | None = None,
        path: str = "",
        context: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        self.expected = expected
        self.found = found
        self.notes = notes
        self.location = location
        self.path = path
        self.context = context
        self.advice = advice

    def located(self, location: Location | None, path: str = "", context: str = "") -> IngotError:
        """Fill in where the error happened, keeping what is already known; returns self."""
        self.location = self.location or location
        self.path = self.path or path
        self.context = self.context or context
        return self

    def __str__(self) -> str:
        lines = [self.what]
        if self.expected:
            lines.append(f"  expected  {self.expected}")
        if self.found or self.notes:
            lines.append("  found     " + "   ".join(filter(None, (self.found, *self.notes))))
        if self.location is not None:
            lines.extend(_where(self.location, self.path))
        if self.context:
            lines.append(f"  {self.context}")
        if self.advice:
            lines.append(f"  {self.advice}")
        return "\n".join(lines)


def _where(location: Location, path: str) -> list[str]:
    within = f", in {location.function}" if location.function else ""
    module = f"  ({path})" if path else ""
    lines = [f"  at {location}{within}{module}"]
    if location.source:
        lines.append(f"      {location.source.strip()}")
        if carets := location.carets():
            lines.append(f"      {carets}")
    return lines


class ShapeError(IngotError, ValueError):
    """Sizes of operands do not fit each other or the op."""


class DTypeError(IngotError, TypeError):
    """An operand's dtype is not one that the op takes."""


class ArgumentError(IngotError, TypeError, ValueError):
    """An argument is missing, unknown, of the wrong kind or out of its range."""


class IndexOutOfRange(IngotError, IndexError):
    """A dimension or an index lies outside of the tensor."""


class AssertError(IngotError):
    """The program raises: an assertion does not hold, or a `raise` was reached. The message is the program's own.

    Where the source names a built-in exception, the error is of that class, too: see `raised`.
    """


class TimeLimitError(IngotError, TimeoutError):
    """A run was given a limit of time, and did not end within it."""


class CaptureError(IngotError):
    """The program does something that a graph cannot hold; the message names the user's line."""


class GradientError(IngotError):
    """A gradient was asked for that does not exist."""


class VerifyError(IngotError):
    """A graph breaks one of the rules that every graph keeps."""


class ParseError(IngotError, ValueError):
    """A text is not in the language it should be in."""


class FileFormatError(IngotError, ValueError):
    """A file is damaged, hostile, too new, or not a program at all."""


class ExportError(IngotError):
    """A program cannot be expressed in the format it should go out to."""


class UnsupportedError(IngotError, NotImplementedError):
    """Something that Ingot, a backend or a build does not do; the message says what to do instead."""
