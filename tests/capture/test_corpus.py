"""The corpus: each of its programs is captured rightly, or refused with the user's line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import capture_corpus
import pytest
from capture_checks import hold

PROGRAMS = {program.name: program for program in capture_corpus.programs()}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_captured_rightly_or_refused_with_its_line(name: str, tmp_path: Path) -> None:
    hold(PROGRAMS[name], tmp_path)


def test_the_corpus_is_large_enough_and_cites_its_threads() -> None:
    assert len(PROGRAMS) == len(capture_corpus.programs()), "two programs of one name"
    count = Counter(program.pain for program in PROGRAMS.values())
    assert all(count[pain] >= 10 for pain in capture_corpus.PAINS), count
    for program in PROGRAMS.values():
        assert program.thread in capture_corpus.PAINS[program.pain], f"{program.name} cites {program.thread}"
    refusals = sum(program.kind != "captured" for program in PROGRAMS.values())
    assert len(PROGRAMS) >= 120 and 0.35 <= refusals / len(PROGRAMS) <= 0.65
