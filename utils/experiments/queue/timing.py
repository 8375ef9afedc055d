"""How fast a configuration trains here: ``python -m utils.experiments.queue.timing EXPERIMENT LABEL …``.

It trains as the run would, on a few batches for two short epochs, of which the first warms up. The last line
of what it prints is the ``Speed`` of :mod:`utils.experiments.queue.estimates` as JSON. A small network is
timed a second time on more batches. On a CPU, what counts is the time of the processor that it was given: the
wall clock would tell how busy the machine was with other things in these seconds.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

from utils.experiments.queue.priority import end_with_parent
from utils.experiments.queue.worker import arguments_of, only

FEW, MANY = 2, 24  # batches
LONG_ENOUGH = 2.0  # seconds that the counted epoch should take
VALID_IMAGES = 500


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    options, _ = arguments_of().parse_known_args(arguments)
    end_with_parent()
    print(json.dumps(measure(options.experiment, options.label, options.profile, options.device)))
    return 0


def measure(experiment: str, label: str, profile: str, device: str) -> dict:
    """The speed as plain data, see :mod:`utils.experiments.queue.estimates`."""
    from utils.data import load_dataset
    from utils.experiments.queue.estimates import Images, Speed, stages_of

    chosen = only(experiment, label)
    configuration, budget = chosen.configurations[0], chosen.budgets[profile]
    dataset = load_dataset(budget.dataset or configuration.dataset, download=False)
    images = Images(len(dataset.train), len(dataset.valid), len(dataset.test))
    histories, share = _train(configuration, dataset, FEW, device)
    seconds = share * sum(history.seconds[-1] for history in histories)
    if seconds < LONG_ENOUGH:
        batches = min(MANY, int(FEW * LONG_ENOUGH / max(seconds, 1e-6)))
        if batches > FEW:
            histories, share = _train(configuration, dataset, batches, device)
    stages = stages_of(histories, epochs=2, valid_images=min(VALID_IMAGES, len(dataset.valid)), share=share)
    return Speed(stages, images, macs=_macs(configuration, dataset)).as_dict()


def _train(configuration, dataset, batches: int, device: str):
    """Histories of two epochs of so many batches, stage by stage, and the share of a core that it got."""
    from utils.experiments.methods import Task, train
    from utils.training import Diverged

    size = configuration.fit_options.get("batch_size", 128)
    part = dataset.train.subset(min(batches * size, len(dataset.train)))
    valid = dataset.valid.subset(min(VALID_IMAGES, len(dataset.valid)))
    with tempfile.TemporaryDirectory() as folder:
        began, used = time.perf_counter(), time.process_time()
        task = Task(
            configuration, part, valid, len(dataset.classes), 2, 0, device, Path(folder) / "timing.checkpoint"
        )
        try:
            outcome = train(task)
        except Diverged as error:
            if not error.history:
                raise
            histories = [error.history]
        else:
            histories = [*outcome.stages.values(), outcome.history]
        share = (time.process_time() - used) / (time.perf_counter() - began)
    return histories, min(1.0, share) if device.startswith("cpu") else 1.0


def _macs(configuration, dataset) -> int:
    import torch

    from utils.analysis.accounting import account
    from utils.models import build_model

    with torch.device("meta"):
        model = build_model(
            configuration.model, num_classes=len(dataset.classes), **configuration.model_options
        )
    return account(model, tuple(dataset.train.images.shape[1:])).total_macs


if __name__ == "__main__":
    sys.exit(main())
