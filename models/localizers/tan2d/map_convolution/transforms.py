"""Fast convolution of square tiles: T x T outputs of a K x K kernel from P x P inputs, P = T + K - 1, with few products.

One dimension: a filter g of K taps over x of P inputs gives y_i = sum_k g_k x_(i+k). With P points, y = A^T [(G g) * (B^T x)],
where G evaluates the filter's polynomial at the points, A one of T coefficients, and B^T is the transposed inverse of the
evaluation of P coefficients (Toom 1963, Cook 1966, Winograd 1980; for neural networks Lavin & Gray 2016, arXiv:1509.09308).
Two dimensions: Kronecker products of these matrices.

Accuracy: real points lose digits as tiles grow, so the points here are roots of unity: the P-th roots (a discrete Fourier
transform), or 0, infinity and the (P - 2)-th roots. Inputs are real, so only one of two conjugate products is computed, with
three real products instead of four (Gauss).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
ComplexMatrix = NDArray[np.complex128]
Points = Literal["circle", "fourier"]


@dataclass(frozen=True)
class TileTransform:
    """The matrices of a transform of tiles with C components, each a real product per channel pair."""

    tile_size: int  # T, outputs a side
    kernel_size: int  # K
    inputs: Matrix  # (C, P * P), for the inputs of a tile
    weights: Matrix  # (C, K * K), for a kernel
    outputs: Matrix  # (T * T, C), back to the outputs of a tile

    @property
    def num_components(self) -> int:
        """The number of products C."""
        return len(self.inputs)

    @property
    def input_size(self) -> int:
        """The inputs per side, P."""
        return self.tile_size + self.kernel_size - 1


@lru_cache(maxsize=32)
def build_transform(points: Points, input_size: int, kernel_size: int) -> TileTransform:
    """Return the transform of tiles of P x P inputs.

    Raises:
        ValueError: when a tile would have no output, or the number of points is odd.
    """
    tile_size = input_size - kernel_size + 1
    if tile_size < 1 or input_size % 2 or input_size < 4:
        raise ValueError(f"a tile needs an even number of inputs of at least {max(4, kernel_size)}, got {input_size}")
    line = _list_points(points, input_size)
    kernel, outputs, inputs = (_evaluate(line, size) for size in (kernel_size, tile_size, input_size))
    pairs = _choose_pairs(line)
    solved = np.linalg.inv(inputs).T
    rows = [np.stack([np.kron(matrix[i], matrix[j]) for i, j in pairs]) for matrix in (solved, kernel, outputs)]
    is_real = np.array([_is_real(line[i]) and _is_real(line[j]) for i, j in pairs])
    return TileTransform(tile_size, kernel_size, *_fold(rows, is_real))


def _list_points(points: Points, count: int) -> list[complex]:
    """Return the points of one dimension, an even number; infinity is `inf`."""
    num_roots = count if points == "fourier" else count - 2
    angles = 2 * np.pi * np.arange(num_roots) / num_roots
    roots = [complex(round(np.cos(angle), 15), round(np.sin(angle), 15)) for angle in angles]
    return roots if points == "fourier" else [0j, complex(np.inf), *roots]


def _evaluate(line: list[complex], size: int) -> ComplexMatrix:
    """Return the matrix that evaluates a polynomial of `size` coefficients; the value at infinity is the highest one."""
    highest = np.eye(size, dtype=np.complex128)[-1]
    return np.stack([highest if np.isinf(point) else point ** np.arange(size) for point in line])


def _choose_pairs(line: list[complex]) -> list[tuple[int, int]]:
    """Return pairs of points, only the first of each conjugate two."""
    conjugate = [int(np.argmin([_distance(other, point.conjugate()) for other in line])) for point in line]
    chosen: list[tuple[int, int]] = []
    for pair in np.ndindex(len(line), len(line)):
        if (conjugate[pair[0]], conjugate[pair[1]]) not in chosen or all(conjugate[i] == i for i in pair):
            chosen.append((pair[0], pair[1]))
    return chosen


def _distance(point: complex, other: complex) -> float:
    if np.isinf(point) or np.isinf(other):
        return 0.0 if np.isinf(point) and np.isinf(other) else float("inf")
    return abs(point - other)


def _is_real(point: complex) -> bool:
    return bool(np.isinf(point)) or point.imag == 0


def _fold(rows: list[ComplexMatrix], is_real: NDArray[np.bool_]) -> tuple[Matrix, Matrix, Matrix]:
    """Turn complex products into real ones.

    A real product stays. For g b with weight a and its conjugate, 2 Re(a g b) = 2 (a' - a'') g' (b' + b'') - 2 a'' b' (g'' - g')
    - 2 a' b'' (g' + g''), where ' and '' are the real and imaginary parts.
    """
    inputs, weights, outputs = rows
    b, g, a = inputs[~is_real], weights[~is_real], outputs[~is_real]
    folded_inputs = np.concatenate([inputs[is_real].real, b.real + b.imag, b.real, b.imag])
    folded_weights = np.concatenate([weights[is_real].real, g.real, g.imag - g.real, g.real + g.imag])
    folded_outputs = np.concatenate([outputs[is_real].real, 2 * (a.real - a.imag), -2 * a.imag, -2 * a.real])
    return folded_inputs, folded_weights, np.ascontiguousarray(folded_outputs.T)
