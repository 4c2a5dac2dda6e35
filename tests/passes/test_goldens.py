"""Every golden file in `tests/golden/<pass>/`, and wrong graphs in `tests/golden/verifier/`."""

from pathlib import Path

import numpy as np
import pytest
from golden import GOLDEN, check_case, check_wrong_graph, read_case
from ingot.passes import INFERENCE, all_passes, parse_pipeline
from repository import ROOT

WRONG = sorted((GOLDEN / "verifier").glob("*.ir"))
CASES = sorted(set(GOLDEN.glob("*/*.ir")) - set(WRONG))


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", CASES, ids=name)
def test_golden(path: Path, rng: np.random.Generator, bless: bool) -> None:
    check_case(path, rng, bless)


@pytest.mark.parametrize("path", WRONG, ids=name)
def test_wrong_graph(path: Path) -> None:
    check_wrong_graph(path)


@pytest.mark.parametrize("pass_", list(all_passes()), ids=lambda pass_: pass_.name)
def test_a_pass_its_file_and_its_goldens_share_its_name(pass_) -> None:
    assert (ROOT / "passes" / f"{pass_.name}.py").is_file()
    assert pass_.run.__module__.endswith(f".{pass_.name}")
    assert pass_.doc
    cases = [read_case(path) for path in (GOLDEN / pass_.name).glob("*.ir")]
    assert cases, f"pass {pass_.name} has no goldens"
    for case in cases:
        assert pass_.name in [stage.name for stage in parse_pipeline(case.pipeline)]


def test_the_inference_pipeline_is_the_golden_one() -> None:
    assert read_case(GOLDEN / "pipelines" / "inference.ir").pipeline == INFERENCE
