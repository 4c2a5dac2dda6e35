"""Options, markers and fixtures that every test sees.

What several folders of tests share, but pytest itself need not know, lives in `tests/support/`, whose modules
are imported by their bare names.
"""

import importlib.util
import zlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

DEFAULT_SEED = 20_250_101
"""The seed of a run that names none, so that two runs of one tree do the same."""

hypothesis.settings.register_profile("ingot", deadline=None, print_blob=True)
hypothesis.settings.load_profile("ingot")

# The comparison with PyTorch runs in an environment of its own (`make parity`).
collect_ignore = [] if importlib.util.find_spec("torch") else ["parity"]

_seed_of_item = pytest.StashKey[tuple[int, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ingot")
    group.addoption("--bless", action="store_true", help="rewrite the golden files to what is produced now")
    group.addoption("--conformance", action="store_true", help="run the complete sweeps, not samples of them")
    group.addoption("--seed", type=int, default=DEFAULT_SEED, help="seed of every random input (%(default)s)")


class RootAsFolder:
    """Makes pytest see a plain folder in the repository root.

    By the root's `__init__.py` pytest would take it for a package of tests and import that file once more,
    under the folder's own name: a second Ingot with a second registry.  A hook written in this file would not
    be asked about folders above `tests`, so it is a plugin.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        return pytest.Dir.from_parent(parent, path=path) if path.samefile(ROOT) else None


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let one `--seed` rule hypothesis too."""
    config.pluginmanager.register(RootAsFolder(), "ingot-root-as-folder")
    if config.getoption("--hypothesis-seed", default=None) is None:
        config.option.hypothesis_seed = str(config.getoption("--seed"))


def pytest_report_header(config: pytest.Config) -> str:
    return f"random seed: {config.getoption('--seed')} (choose another with --seed=N)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the complete sweeps unless asked for, and skip what needs a device that is not there."""
    if not config.getoption("--conformance"):
        sweeps = [item for item in items if item.get_closest_marker("conformance")]
        config.hook.pytest_deselected(items=sweeps)
        items[:] = [item for item in items if not item.get_closest_marker("conformance")]
    gpu_items = [item for item in items if item.get_closest_marker("gpu")]
    reason = _why_no_gpu() if gpu_items else None
    if reason is not None:
        for item in gpu_items:
            item.add_marker(pytest.mark.skip(reason=reason))


def _why_no_gpu() -> str | None:
    """The reason why tests marked `gpu` cannot run here, or None."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"no CUDA device: {error}"
    return None if count else "no CUDA device"


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator of the test's own, decided by the run's seed and the test's name alone."""
    seed = (request.config.getoption("--seed"), zlib.crc32(request.node.nodeid.encode()))
    request.node.stash[_seed_of_item] = seed
    return np.random.default_rng(seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show with a failure the seed that its random inputs came from."""
    report = yield
    seed = item.stash.get(_seed_of_item, None)
    if report.failed and seed is not None:
        how = f"numpy.random.default_rng({seed}); run with --seed={seed[0]}"
        report.sections.append(("random inputs", how))
    return report


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return bool(request.config.getoption("--bless"))


@pytest.fixture
def conformance(request: pytest.FixtureRequest) -> bool:
    """Whether the complete sweeps were asked for."""
    return bool(request.config.getoption("--conformance"))
