"""Cost of 2D-TAN, compared with the authors' formulation: python tests/benchmarks/tan2d.py charades --batch 1 4.

Both run in turns in one process, under the same load of the machine. Run one configuration at a time; rows are Markdown.
"""

import argparse
import ctypes
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in training: spinning threads slow a shared machine

import torch  # noqa: E402
from process_memory import read_status  # noqa: E402
from tan2d_reference import ReferenceTan2D  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from models.localizers.tan2d import Tan2D  # noqa: E402
from models.localizers.tan2d.map_convolution.choice import Setting, choose_methods  # noqa: E402
from models.localizers.tan2d.map_convolution.geometry import build_geometry  # noqa: E402
from models.localizers.tan2d.map_convolution.stack import MapConvolution  # noqa: E402
from models.localizers.tan2d.map_convolution.tiles import count_tiles  # noqa: E402
from models.localizers.tan2d.map_convolution.transform_cache import TransformCache  # noqa: E402
from models.localizers.tan2d.map_convolution.transforms import build_transform  # noqa: E402
from models.localizers.tan2d.official import OFFICIAL  # noqa: E402

CHANNELS = 512


class Cost(NamedTuple):
    """Cost of one call."""

    wall_s: float
    cpu_s: float


class Contender(NamedTuple):
    """A module, its call, and the reading of its output for comparison."""

    module: nn.Module
    run: Callable[[], Tensor]
    read: Callable[[Tensor], Tensor]


def main() -> None:
    """Measure the configurations and batches that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="+", choices=("charades", "activitynet", "tacos"))
    parser.add_argument("--proposals", default="pool", choices=("pool", "conv"))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--whole", action="store_true", help="time the whole network instead of its map convolutions")
    parser.add_argument("--skip-step", action="store_true", help="skip the training steps, the longest part")
    parser.add_argument("--skip-memory", action="store_true", help="skip the memory of steps, which takes six more steps")
    parser.add_argument("--memory-of", choices=("reference", "auto", "low_memory"), help="print the memory of one step in bytes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        print(measure_step_memory(f"{arguments.config[0]}_{arguments.proposals}", arguments.batch[0], arguments))
        return
    print(f"torch {torch.__version__}, {arguments.device}, {arguments.threads} threads, load {os.getloadavg()[0]:.1f}")
    print(f"GEMM of 2048 x 2048: {measure_gemm(arguments.device):.0f} GFLOP a CPU second\n")
    print(
        "| configuration | batch | what | theirs, s wall / CPU | here, s wall / CPU | ratio wall / CPU | error | memory ratio |"
    )
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.config:
        for batch in arguments.batch:
            measure(f"{name}_{arguments.proposals}", batch, arguments)
            print(describe_work(f"{name}_{arguments.proposals}", batch), flush=True)


def measure(config: str, batch: int, arguments: argparse.Namespace) -> None:
    """Print the rows of one configuration and batch."""
    reference, ours = build(config, batch, torch.device(arguments.device), whole=arguments.whole)
    (stack,) = (module for module in ours.module.modules() if isinstance(module, MapConvolution))
    label = f"{config}{', whole' if arguments.whole else ''} | {batch}"
    names = ["forward", "forward, cached"] if arguments.device == "cpu" else ["forward"]
    print_forwards(
        label, reference, ours, arguments.rounds, caches=dict(zip(names, (None, TransformCache()), strict=False)), stack=stack
    )
    if not arguments.skip_step:
        steps = [contender._replace(run=lambda contender=contender: take_step(contender)) for contender in (reference, ours)]
        kinds = () if arguments.skip_memory else ("reference", "auto", "low_memory")
        memory = {name: run_apart(config, batch, name, arguments) for name in kinds}
        print_steps(label, *steps, arguments.rounds, stack=stack, memory=memory)


def build(config: str, batch: int, device: torch.device, *, whole: bool) -> tuple[Contender, Contender]:
    """Return the authors' network and ours with the same weights and inputs, or only their map convolutions."""
    torch.manual_seed(0)
    feature_dim, values = OFFICIAL[config]
    names = ("clips_per_cell", "scale_layers", "proposals", "kernel_size", "num_layers")
    reference = ReferenceTan2D(feature_dim, **{name: values[name] for name in names})
    with torch.no_grad():  # so that differences between cells survive all layers
        for layer in reference.map_layer.convs:
            layer.weight.mul_(2 * values["kernel_size"] ** 2)
            layer.bias.mul_(0.1)
        reference.pred_layer.bias.zero_()
    ours = Tan2D.from_official(reference.state_dict(), config=config).to(device)
    reference.to(device)
    words, clips = torch.randn(batch, 10, 300), torch.rand(batch, 256, feature_dim)
    inputs = [tensor.to(device) for tensor in (words, torch.ones(batch, 10, 1), nn.functional.normalize(clips, dim=-1))]
    if whole:
        same = lambda output: output  # noqa: E731
        first = Contender(reference, lambda: reference(*inputs)[0], same)
        return first, Contender(ours, lambda: ours.official_scores(*inputs), same)
    return take_stacks(reference, ours, inputs)


def take_stacks(reference: ReferenceTan2D, ours: Tan2D, inputs: list[Tensor]) -> tuple[Contender, Contender]:
    """Return the map convolutions, with inputs computed by the rest of the network."""
    taken: list[tuple[Tensor, ...]] = []
    hook = reference.map_layer.register_forward_hook(lambda module, given, output: taken.append((*given, output)))
    with torch.no_grad():
        reference(*inputs)
    hook.remove()
    fused, mask, _ = taken[0]
    first, last = ours.grid.first, ours.grid.last
    candidates = fused[:, :, first, last].transpose(1, 2).contiguous()  # (B, M, H)
    valid = torch.ones(candidates.shape[:2], dtype=torch.bool, device=fused.device)
    fused.requires_grad_(), candidates.requires_grad_()
    num_cells = fused.shape[-1]
    return (
        Contender(reference.map_layer, lambda: reference.map_layer(fused, mask), lambda output: output[:, :, first, last]),
        Contender(ours.map_conv, lambda: ours.map_conv(candidates, valid, num_cells), lambda output: output.transpose(1, 2)),
    )


def take_step(contender: Contender) -> Tensor:
    """Run forward and backward, with the output as its gradient."""
    contender.module.zero_grad(set_to_none=True)
    output = contender.run()
    output.backward(output.detach())
    return output.detach()


@torch.no_grad()
def print_forwards(
    label: str,
    reference: Contender,
    ours: Contender,
    rounds: int,
    *,
    caches: dict[str, TransformCache | None],
    stack: MapConvolution,
) -> None:
    """Time the reference and ours, with each cache, in turns; print medians, ratios and errors."""
    costs, errors = [], {}
    for _ in range(rounds):
        cost, expected = time_call(reference.run)
        row = [cost]
        for name, cache in caches.items():
            stack.kept = cache
            if cache is not None and name not in errors:
                ours.run()  # fills the cache
            cost, found = time_call(ours.run)
            row.append(cost)
            errors[name] = compute_error(ours.read(found), reference.read(expected))
        costs.append(row)
    stack.kept = None
    theirs, *mine = (compute_medians(column) for column in zip(*costs, strict=True))
    for name, cost in zip(caches, mine, strict=True):
        print(f"| {label} | {name} | {describe_costs(theirs, cost)} | {errors[name]:.1e} | - |", flush=True)


def compute_error(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference relative to the largest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def print_steps(
    label: str, reference: Contender, ours: Contender, rounds: int, *, stack: MapConvolution, memory: dict[str, int]
) -> None:
    """Time steps of both, and of ours with low memory, in turns; print medians, ratios and memory ratios."""
    costs = []
    for _ in range(rounds):
        row = [time_call(reference.run)[0]]
        for stack.speed in ("auto", "low_memory"):
            row.append(time_call(ours.run)[0])
        costs.append(row)
    theirs, *mine = (compute_medians(column) for column in zip(*costs, strict=True))
    for name, speed, cost in zip(("step", "step, low memory"), ("auto", "low_memory"), mine, strict=True):
        share = f"{memory[speed] / memory['reference']:.2f}" if memory else "-"
        print(f"| {label} | {name} | {describe_costs(theirs, cost)} | - | {share} |", flush=True)


def compute_medians(costs: Sequence[Cost]) -> Cost:
    """Return the median wall and CPU seconds."""
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


def describe_costs(theirs: Cost, mine: Cost) -> str:
    """Return the cells of a row: both costs and their ratios."""
    ratios = f"{theirs.wall_s / mine.wall_s:.2f} / {theirs.cpu_s / mine.cpu_s:.2f}"
    return f"{theirs.wall_s:.2f} / {theirs.cpu_s:.2f} | {mine.wall_s:.2f} / {mine.cpu_s:.2f} | {ratios}"


def time_call(run: Callable[[], Tensor]) -> tuple[Cost, Tensor]:
    """Return the wall and CPU seconds of one call, and its output."""
    gc.collect()
    start, cpu = time.perf_counter(), time.process_time()
    output = run()
    if output.is_cuda:
        torch.cuda.synchronize()
    return Cost(time.perf_counter() - start, time.process_time() - cpu), output


def run_apart(config: str, batch: int, name: str, arguments: argparse.Namespace) -> int:
    """Return the memory of a step in a separate process; memory freed by earlier work would hide a part of it."""
    dataset, _, proposals = config.partition("_")
    command = [sys.executable, __file__, dataset, "--proposals", proposals, "--batch", str(batch), "--device", arguments.device]
    command += ["--threads", str(arguments.threads), "--memory-of", name, *["--whole"] * arguments.whole]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure_step_memory(config: str, batch: int, arguments: argparse.Namespace) -> int:
    """Return the peak memory of a step above the memory before it, in bytes: of the GPU, or of a process on Linux."""
    reference, ours = build(config, batch, torch.device(arguments.device), whole=arguments.whole)
    (stack,) = (module for module in ours.module.modules() if isinstance(module, MapConvolution))
    chosen = reference if arguments.memory_of == "reference" else ours
    stack.speed = "auto" if arguments.memory_of == "reference" else arguments.memory_of
    take_step(chosen)  # a first step allocates lists of cells, threads and their buffers
    chosen.module.zero_grad(set_to_none=True)
    gc.collect()
    if arguments.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        take_step(chosen)
        return torch.cuda.max_memory_allocated() - held
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    held = read_status("VmRSS")
    take_step(chosen)
    return read_status("VmHWM") - held


def measure_gemm(device: str) -> float:
    """Return the best GFLOP a second of five products of 2048 x 2048, by CPU time, or by wall time on a GPU."""
    left, right = torch.randn(2, 2048, 2048, device=device)
    costs = [time_call(lambda: left @ right)[0] for _ in range(6)][1:]
    return 2 * 2048**3 / min(cost.cpu_s if device == "cpu" else cost.wall_s for cost in costs) / 1e9


def describe_work(config: str, batch: int) -> str:
    """Return a line with the operations of a forward pass and the bytes that they read and write once."""
    values = OFFICIAL[config][1]
    num_cells, kernel, layers = values["num_cells"] // values["clips_per_cell"], values["kernel_size"], values["num_layers"]
    geometry = build_geometry(num_cells, values["scale_layers"], kernel, layers)
    reference = [(num_cells + (kernel - 1) * (layers - layer)) ** 2 for layer in range(layers + 1)]
    weights = layers * (kernel * CHANNELS) ** 2
    theirs = 2 * sum(reference[1:]) * batch * (kernel * CHANNELS) ** 2
    their_bytes = 4 * (sum(a + b for a, b in zip(reference, reference[1:], strict=False)) * batch * CHANNELS + weights)
    methods = choose_methods(geometry, Setting(batch, CHANNELS, training=False, cached=False))
    assert methods is not None
    products, transforms, in_weights, moved = 0, 0, 0, 4 * weights
    for method, after in zip(methods, geometry.sets[1:], strict=True):
        transform = build_transform(*method, kernel)
        rows, count = count_tiles(after, transform.tile_size) * batch, transform.num_components
        products += 2 * count * rows * CHANNELS**2
        transforms += 2 * count * (transform.input_size**2 + transform.tile_size**2) * rows * CHANNELS
        in_weights += 2 * count * (kernel * CHANNELS) ** 2
        moved += 4 * count * (4 * rows * CHANNELS + 2 * CHANNELS**2)
    names = ", ".join(f"{method.points} {method.input_size}" for method in methods)
    return (
        f"<!-- {config}, batch {batch}: reference {theirs / 1e9:.0f} GFLOP, {their_bytes / 1e9:.2f} GB; here "
        f"{(products + transforms + in_weights) / 1e9:.0f} GFLOP (products {products / 1e9:.0f}, transforms of cells "
        f"{transforms / 1e9:.0f}, of weights {in_weights / 1e9:.0f}), {moved / 1e9:.2f} GB; {names} -->"
    )


if __name__ == "__main__":
    main()
