"""What an epoch of the default VAE takes on a CUDA device, and how far that is from the roofline.

    python benchmarks/gpu_epoch.py

Made-up clicks of MovieLens-20M's shape. The roofline is what the device must do at least, at the
rates that are measured first: the matrix products of a step (TF32), and the bytes that it has to
move: Adam reads each parameter, its gradient and both moments and writes all but the gradient,
and the scores of users x items are written and read once.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import describe_run
from made_clicks import make_clicks

from recsys.data.interactions import Interactions
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.devices import fast_products
from recsys.vae.tally import EpochReport
from recsys.vae.training import train

CUDA = torch.device("cuda")
SQUARE = 8192
COPIED_FLOATS = 2**29
REPEATS = 20
BYTES_OF_FLOAT = 4
WORDS_OF_ADAM = 7


def seconds_of(operation: Callable[[], object]) -> float:
    """Time an operation on the device, warm; seconds, the mean of some."""
    for _ in range(3):
        operation()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(REPEATS):
        operation()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3 / REPEATS


def measured_rates() -> tuple[float, float]:
    """Give operations and bytes a second: of a large product, and of a copy, read and written."""
    with fast_products(CUDA):
        one, other = (torch.randn(SQUARE, SQUARE, device=CUDA) for _ in range(2))
        operations = 2 * SQUARE**3 / seconds_of(lambda: one @ other)
    source = torch.randn(COPIED_FLOATS, device=CUDA)
    target = torch.empty_like(source)
    return operations, 2 * source.nbytes / seconds_of(lambda: target.copy_(source))


def floor_of(data: Interactions, config: VAEConfig) -> tuple[float, float]:
    """Give operations of an epoch, and bytes of one step but for the scores, of all members."""
    assert config.members is not None
    layers = (config.encoder_layers - 1) * config.hidden_dim**2
    layers += 2 * config.hidden_dim * config.latent_dim
    inner = layers + data.n_items * config.latent_dim
    # The encoder's first layer is a sum over the clicks: forward, and the gradient of its rows.
    clicks = 4 * data.matrix.nnz * config.hidden_dim
    operations = config.members * (6 * data.n_users * inner + clicks)
    parameters = layers + data.n_items * (config.hidden_dim + config.latent_dim + 1)
    return operations, config.members * WORDS_OF_ADAM * BYTES_OF_FLOAT * parameters


def report(options: argparse.Namespace) -> None:
    """Train some epochs and print what the later ones took beside the roofline."""
    operations_rate, bytes_rate = measured_rates()
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}; products at "
        f"{operations_rate / 1e12:.0f} TFLOP/s (TF32), copies at {bytes_rate / 1e12:.2f} TB/s",
        flush=True,
    )
    data = make_clicks(options.users, options.items, options.mean_history)
    config = VAEConfig(values="binary").sized_for(data.n_items, data.matrix.nnz)
    training = TrainingConfig(
        epochs=options.epochs, batch_size=options.batch, start=options.start
    ).sized_for(data.n_users, data.n_items, sampled=config.softmax == "sampled")
    assert config.members is not None
    assert training.batch_size is not None
    print(
        f"{data.n_users:,} users x {data.n_items:,} items, {data.matrix.nnz / data.n_users:.0f} "
        f"clicks a user; members {config.members}, batch {training.batch_size}, start "
        f"{training.start}",
        flush=True,
    )
    ends, losses = [time.perf_counter()], []

    def on_epoch(report: EpochReport) -> None:
        ends.append(time.perf_counter())
        losses.append(report.loss)

    train(data, config, training, on_epoch=on_epoch, device="cuda")
    first, *others = np.diff(ends)
    print("losses " + ", ".join(f"{each:.3f}" for each in losses))
    print(f"start and first epoch {first:.2f} s; then " + ", ".join(f"{s:.3f}" for s in others))
    epoch = float(np.median(others))
    operations, bytes_of_step = floor_of(data, config)
    n_steps = -(-data.n_users // training.batch_size)
    scores = 2 * BYTES_OF_FLOAT * config.members * data.n_users * data.n_items
    arithmetic = operations / operations_rate
    moving = (n_steps * bytes_of_step + scores) / bytes_rate
    print(
        f"an epoch {epoch:.3f} s, {data.n_users / epoch:,.0f} users/s, {1e3 * epoch / n_steps:.2f} "
        f"ms a step, peak {torch.cuda.max_memory_allocated() / 1e9:.2f} GB of the device\n"
        f"at least {arithmetic:.3f} s of arithmetic and {moving:.3f} s of moving bytes: "
        f"{epoch / max(arithmetic, moving):.1f} x the roofline, "
        f"{epoch / (arithmetic + moving):.1f} x their sum"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=116_677)
    parser.add_argument("--items", type=int, default=20_108)
    parser.add_argument("--mean-history", type=float, default=135, help="repeats included")
    parser.add_argument("--batch", type=int, help="users of a step (default: as `train` decides)")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--start", choices=["spectral", "random"], default="spectral")
    return parser


def main() -> None:
    """Refuse a machine without a device, or measure."""
    options = _parser().parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no CUDA device here: there is nothing to measure")
    print(describe_run())
    report(options)


if __name__ == "__main__":
    main()
