"""What the predictor's image leaves out of Debian's PyTorch."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "images" / "predictor" / "collect_torch.py"


@pytest.fixture(scope="module")
def collect() -> ModuleType:
    spec = spec_from_file_location("collect_torch", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name",
    [
        "torch/bin/test_api",
        "torch/include/ATen/ATen.h",
        "torch/testing/_internal/common_utils.py",
        "torch/_C/__init__.pyi",
        "torch/nn/__pycache__/modules.pyc",
    ],
)
def test_left_out(collect: ModuleType, name: str) -> None:
    assert collect.LEFT_OUT.search(name)


@pytest.mark.parametrize(
    "name",
    [
        "torch/__init__.py",
        "torch/_C.cpython-313-x86_64-linux-gnu.so",
        "torch/bin/torch_shm_manager",
        "torch/lib/libtorch_cpu.so",
        "torch/testing/__init__.py",
        "torch/utils/benchmarks.py",
    ],
)
def test_kept(collect: ModuleType, name: str) -> None:
    assert not collect.LEFT_OUT.search(name)
