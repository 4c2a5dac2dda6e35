"""`Compiled.explain()` as text."""

from __future__ import annotations

from typing import Any

__all__ = ["explain"]


def explain(compiled: Any) -> str:
    """What was captured, when and why, what each variant has cost and served, and what ran eagerly."""
    count = len(compiled.variants)
    name = getattr(compiled.original, "__qualname__", None) or type(compiled.original).__name__
    short = name.rpartition("<locals>.")[2]
    lines = [
        f"{short}: {count} variant{'s' if count != 1 else ''} of at most {compiled.max_variants}, on {compiled.backend}"
    ]
    for variant in compiled.variants:
        lines += [f"  {variant.number}. {variant.why}"]
        lines += [f"     {line}" for line in _facts(compiled, variant)]
    lines += [f"  {note}" for note in compiled.notes]
    for why, calls in compiled.fallbacks.items():
        lines.append(f"  {calls} call{'s' if calls != 1 else ''} ran eagerly: {why}")
    return "\n".join(lines)


def _facts(compiled: Any, variant: Any) -> list[str]:
    nodes = sum(1 for _ in variant.graph.nodes())
    times = f"captured in {1e3 * variant.capture_seconds:.0f} ms, compiled in {1e3 * variant.compile_seconds:.0f} ms"
    found = [f"{variant.calls} call{'s' if variant.calls != 1 else ''}; {nodes} nodes, {times}"]
    names = compiled.argument_names(variant)
    for i, dim, name in variant.dynamic:
        found.append(f"any size from 2: dimension {dim} of '{names[i]}' ({name})")
    for assumption in variant.assumptions:
        place = f" at {assumption.location}" if assumption.location else ""
        found.append(f"assumes {assumption.relation}{place}")
    for place in variant.numbers:
        found.append(f"{place.path} is a run-time number")
    return found
