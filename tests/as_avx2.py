"""Runs a command as on a processor with AVX2 but without AVX-512 and bf16: python tests/as_avx2.py pytest -q tests/models.

Without a command it prints the switches and the instruction set that each library then reports. Every library below chooses
its code for the processor at start, and each has its own switch:

| library | switch | reported by |
|---|---|---|
| oneDNN (torch: convolutions, LSTMs, bf16) | `ONEDNN_MAX_CPU_ISA` | a bf16 LSTM is refused |
| ATen (torch: element-wise code, reductions) | `ATEN_CPU_CAPABILITY` | `torch.backends.cpu.get_cpu_capability()` |
| MKL (torch: matrix products) | `MKL_ENABLE_INSTRUCTIONS` | nothing: it acts on Intel; on AMD, MKL runs its AVX2 code anyway |
| OpenBLAS (NumPy, SciPy, OpenCV) | `OPENBLAS_CORETYPE` | `threadpoolctl.threadpool_info()` |
| NumPy | `NPY_DISABLE_CPU_FEATURES` | `__cpu_features__` |
| faiss | `FAISS_OPT_LEVEL` | the log of `faiss.loader`; the wheels hold one build, so nothing changes |
| OpenCV | `OPENCV_CPU_DISABLE` | `cv2.getCPUFeaturesLine()` |
| Arrow | `ARROW_USER_SIMD_LEVEL` | `pyarrow.runtime_info()` |

FFmpeg (PyAV) and ONNX Runtime have no such switch and use all instructions of the processor.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

SWITCHES = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "FAISS_OPT_LEVEL": "AVX2",
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "ARROW_USER_SIMD_LEVEL": "AVX2",
}
NUMPY_SWITCH = "NPY_DISABLE_CPU_FEATURES"


def find_obstacle() -> str | None:
    """Return the reason that this machine cannot run as a machine with AVX2, or None."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return f"this processor is {platform.machine()}, not x86-64: there is no AVX2 to imitate"
    from numpy._core._multiarray_umath import __cpu_features__

    return None if __cpu_features__.get("AVX2") else "this processor has no AVX2"


def list_numpy_features() -> list[str]:
    """Return NumPy's features beyond AVX2 on this processor; NumPy warns about names that it or the processor lacks."""
    from numpy._core import _multiarray_umath as umath

    beyond = (name for name in umath.__cpu_dispatch__ if name == "X86_V4" or name.startswith("AVX512"))
    return [name for name in beyond if umath.__cpu_features__.get(name)]


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with every switch set."""
    if NUMPY_SWITCH in environment:  # this process already runs under the switch and no longer sees the features
        return {**environment, **SWITCHES}
    features = list_numpy_features()
    return {**environment, **SWITCHES, **({NUMPY_SWITCH: " ".join(features)} if features else {})}


def report() -> dict[str, str]:
    """Return the instructions that each library reports for this process."""
    import cv2
    import faiss
    import pyarrow
    import scipy.linalg  # loads its OpenBLAS
    import torch
    from threadpoolctl import threadpool_info

    from models.training.precision import find_obstacle as find_precision_obstacle

    del scipy
    blas = {str(one.get("architecture")) for one in threadpool_info() if one["internal_api"] == "openblas"}
    return {
        "oneDNN, bf16-mixed": find_precision_obstacle("bf16-mixed", torch.device("cpu")) or "works",
        "ATen": torch.backends.cpu.get_cpu_capability(),
        "OpenBLAS": ", ".join(sorted(blas)),
        "NumPy, beyond AVX2": ", ".join(list_numpy_features()) or "nothing",
        "faiss": faiss.loader.instruction_sets and ", ".join(sorted(faiss.loader.instruction_sets)) or "as found",
        "OpenCV": cv2.getCPUFeaturesLine(),
        "Arrow": pyarrow.runtime_info().simd_level,
    }


def main(command: list[str]) -> int:
    """Run a command, or print the switches and the report of a new process; return its exit code."""
    obstacle = find_obstacle()
    if obstacle:
        print(f"as_avx2: {obstacle}; nothing was run")
        return 0
    environment = build_environment(os.environ)
    if command:
        return subprocess.run(command, env=environment, check=False).returncode
    for name in (*SWITCHES, NUMPY_SWITCH):
        print(f"{name}={environment.get(name, '')}")
    # -P: without it Python searches the folder of this file first, and `models` would be tests/models
    return subprocess.run([sys.executable, "-P", __file__, "--report"], env=environment, check=False).returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["--report"]:
        for name, value in report().items():
            print(f"{name}: {value}")
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
