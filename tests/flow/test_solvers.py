"""The solvers against the plain one, and the median filter against SciPy's."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter as scipy_median

from i3d_lightning.errors import InputError
from i3d_lightning.flow import compute_flow
from i3d_lightning.flow.solvers import choose, cpu, reference
from i3d_lightning.flow.solvers.median import median_filter, network
from i3d_lightning.recipe import Flow

SETTINGS = Flow(inner_iterations=20, outer_iterations=3)


def linearised(
    pairs: int = 3, size: tuple[int, int] = (21, 30)
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Problems, a flow and dual variables to begin with; the first pair has nothing to do."""
    generator = torch.Generator().manual_seed(0)
    problem = 10 * torch.randn(pairs, 3, *size, generator=generator)
    flow = torch.randn(pairs, 2, *size, generator=generator)
    dual = 0.3 * torch.randn(pairs, 4, *size, generator=generator)
    for part in (problem, flow, dual):
        part[0] = 0
    problem[1, :2, 5:9] = 0  # nothing to see
    return problem, flow, dual


@pytest.mark.parametrize("median", [1, 3, 5])
def test_the_cpu_solver_agrees_with_the_reference(median):
    settings = Flow(inner_iterations=20, outer_iterations=3, median=median)
    (problem, flow, dual), (_, expected, expected_dual) = linearised(), linearised()
    reference.solve(problem, expected, expected_dual, settings)
    cpu.solve(problem, flow, dual, settings)
    torch.testing.assert_close(flow, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(dual, expected_dual, atol=1e-3, rtol=0)
    assert expected[1:].std() > 0.05


@pytest.mark.parametrize("solver", [reference, cpu], ids=["reference", "cpu"])
def test_a_pair_stops_when_it_has_converged_whatever_the_others_do(solver):
    """Alone and beside a pair that takes longer: the very same."""
    settings = Flow(epsilon=0.3)
    problem, flow, dual = linearised()
    alone = [part[1:2].clone() for part in (problem, flow, dual)]
    problem[2] *= 5
    solver.solve(problem, flow, dual, settings)
    solver.solve(*alone, settings)
    assert torch.equal(flow[1:2], alone[1])
    longer = linearised()
    solver.solve(*longer, Flow(epsilon=0.0))
    assert not torch.equal(flow[1], longer[1][1])


def test_threads_change_nothing():
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            problem, flow, dual = linearised(5)
            cpu.solve(problem, flow, dual, SETTINGS)
            found.append(flow)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


TRITON = """
import torch
from test_solvers import TRITON_SETTINGS, linearised
from i3d_lightning.flow.solvers import cuda, reference
from i3d_lightning.flow.solvers.median import median_filter
for size, settings in TRITON_SETTINGS:
    (problem, flow, dual), (_, expected, expected_dual) = linearised(3, size), linearised(3, size)
    reference.solve(problem, expected, expected_dual, settings)
    cuda.solve(problem, flow, dual, settings)
    torch.testing.assert_close(flow, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(dual, expected_dual, atol=1e-5, rtol=0)
for side in (3, 5):
    assert torch.equal(cuda.median_filter(flow, side).flatten(0, 1), median_filter(flow.flatten(0, 1), side))
"""

TRITON_SETTINGS = [
    ((21, 30), Flow(inner_iterations=7, outer_iterations=2, epsilon=0.0)),  # never stops, part of a kernel
    ((21, 30), Flow(inner_iterations=15, outer_iterations=2, epsilon=0.3)),  # stops within a kernel
    ((21, 30), Flow(inner_iterations=7, outer_iterations=4, epsilon=0.45, median=3)),
    ((70, 60), Flow(inner_iterations=5, outer_iterations=2, epsilon=0.6, median=1)),  # of several tiles
]


def test_the_triton_kernels_agree_with_the_reference_when_interpreted():
    pytest.importorskip("triton")
    here = os.path.dirname(__file__)  # noqa: PTH120
    done = subprocess.run(
        [sys.executable, "-c", TRITON], capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": here},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("capability", [70, 90])
def test_the_triton_kernels_compile_for_gpus(capability):
    """To machine code, which takes no GPU; Triton's interpreter lets pass what its compiler refuses."""
    compiler = pytest.importorskip("triton.compiler")
    from triton.backends.compiler import GPUTarget

    from i3d_lightning.flow.solvers import cuda

    iterations = {"SMALLEST": 1e-7, "AT_ONCE": cuda.AT_ONCE, "ROWS": 16, "SIDE": cuda.SIDE}
    median = {"SIDE": 5, "COMPARISONS": network(25), "BLOCK": 256}
    whole = dict.fromkeys(("pairs", "iterations", "height", "width", "across"), "i32")
    single = dict.fromkeys(("limit", "most", "theta", "speed"), "fp32")
    for kernel, constants in ((cuda._iterate_kernel, iterations), (cuda._median_kernel, median)):
        kinds = {**whole, **single, **dict.fromkeys(constants, "constexpr")}
        types = {name: kinds.get(name, "*fp32") for name in kernel.arg_names}
        source = compiler.ASTSource(kernel, signature=types, constexprs=constants)
        target = GPUTarget("cuda", capability, 32)
        assert compiler.compile(source, target, options={"num_warps": cuda.WARPS}).asm["cubin"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_triton_kernels_agree_with_the_reference_on_a_gpu():
    from i3d_lightning.flow.solvers import cuda

    for size, settings in TRITON_SETTINGS:
        problem, expected, expected_dual = linearised(4, size)
        flow, dual = expected.cuda(), expected_dual.cuda()
        reference.solve(problem, expected, expected_dual, settings)
        cuda.solve(problem.cuda(), flow, dual, settings)
        torch.testing.assert_close(flow.cpu(), expected, atol=1e-3, rtol=0)
        torch.testing.assert_close(dual.cpu(), expected_dual, atol=1e-3, rtol=0)


@pytest.mark.parametrize("side", [3, 5])
def test_the_median_filter_is_scipys(side):
    image = torch.randn(2, 13, 17, generator=torch.Generator().manual_seed(side))
    expected = np.stack([scipy_median(one.numpy(), side, mode="nearest") for one in image])
    assert np.array_equal(median_filter(image, side).numpy(), expected)


def test_the_median_network_leaves_out_what_does_not_matter():
    assert len(network(25)) < 138  # of the whole sorting network


def test_an_unknown_solver_is_refused():
    frames = torch.zeros(1, 2, 32, 32, dtype=torch.uint8)
    with pytest.raises(InputError, match="did you mean 'reference'"):
        compute_flow(frames, Flow(), "refrence")
    assert choose("auto", torch.device("cpu")) is cpu.solve


@pytest.mark.slow
def test_code_just_compiled_gives_what_code_from_the_cache_gives(tmp_path):
    """Fields are equal to the last bit, so that it does not matter which run was the first."""
    code = """
import hashlib, torch
from i3d_lightning.flow import compute_flow
random = torch.Generator().manual_seed(0)
coarse = torch.rand(1, 1, 12, 16, generator=random) * 200
image = torch.nn.functional.interpolate(coarse, size=(96, 128), mode="bicubic").clamp(0, 255)[0, 0]
frames = torch.stack([image.roll((t, 2 * t), (0, 1)) for t in range(5)])[None].to(torch.uint8)
print(hashlib.sha256(compute_flow(frames, solver="cpu").numpy().tobytes()).hexdigest())
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(found) == 1
