"""The three profiles and, in one place, every size that changes between them.

``CNNLAB_PROFILE`` = ``smoke`` | ``quick`` | ``full``. The same cells run in each; a lab reads its sizes as ``lab.sizes``.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

PROFILES = ("smoke", "quick", "full")
DEFAULT_PROFILE = "quick"

# lab -> name of the size -> its value in (smoke, quick, full)
SIZES: dict[str, dict[str, tuple]] = {
    "01_convolution_toeplitz": {
        "sides": (
            (8, 16, 32),
            (8, 16, 32, 64, 128),
            (8, 16, 32, 64, 128, 256),
        ),  # pictures whose layer is timed
        "dense_up_to": (32, 32, 64),  # largest side for the dense matrix: at 64 it takes 1 GB
        "kernel_side": (64, 128, 128),  # picture for the timing over the kernel size
        "kernels": ((3, 7, 15), (3, 5, 7, 11, 15, 21, 31), (3, 5, 7, 11, 15, 21, 31, 41)),
        "repeats": (5, 15, 51),  # timings behind each median
    },
    "02_lenet": {
        "digits_images": (
            1200,
            1200,
            1200,
        ),  # training pictures; the embedded digits have 1,437 with validation
        "digits_epochs": (4, 20, 60),
        "garments_images": (1000, 8000, 55000),
        "garments_epochs": (4, 5, 20),
        "colour_images": (1000, 10000, 45000),
        "colour_epochs": (3, 5, 20),
        "rates": ((3e-3,), (1e-3, 3e-3), (1e-3, 3e-3)),  # learning rates that each network may choose from
        "seeds": (2, 3, 5),
        "valid_images": (500, 2000, 5000),
        "shift_images": (100, 500, 5000),  # validation pictures; each is judged at 36 places
        "test_images": (500, 10000, 10000),
    },
    "03_imagenet_decade": {
        "valid_images": (300, 1000, 5000),
        "family_images": (192, 1000, 20000),
        "family_epochs": (2, 3, 15),
        "family_seeds": (1, 2, 3),
        "gradient_batch": (32, 128, 128),  # pictures behind one measured gradient
        "filters": ((2, 4, 8), (4, 8, 16), (4, 8, 16, 32, 64)),  # of the first of three layers
        "filter_images": (400, 1500, 20000),
        "filter_epochs": (2, 3, 15),
        "filter_seeds": (2, 3, 3),
        "column_filters": (4, 8, 32),
        "column_images": (400, 2000, 45000),
        "column_epochs": (3, 5, 20),
        "column_seeds": (2, 2, 3),  # for each of three preparations
    },
    "04_resnet": {
        "images": (700, 1100, 1100),  # training digits; with 300 for validation there are 1,137
        "epochs": (5, 6, 6),
        "seeds": (1, 3, 5),
        "live_blocks": ((1, 2, 5), (1, 2, 5), (1, 2, 5, 9)),  # blocks in a stage: 8, 14, 32 (and 56) layers
        "other_rates": ((), (0.01, 0.03, 0.3), (0.01, 0.03, 0.3)),  # learning rates beside 0.1
        "gradient_blocks": ((1, 3, 9), (1, 2, 3, 5, 9), (1, 2, 3, 5, 9, 18)),
        "gradient_seeds": (2, 3, 5),
        "highway_depth": (13, 19, 19),
        "highway_epochs": (4, 8, 20),
        "judges": (100, 300, 300),  # validation digits for the damaged networks
        "draws": (2, 8, 20),  # of blocks that are deleted together
    },
    "05_efficient_convolutions": {
        "train_images": (512, 1500, 20000),
        "valid_images": (250, 1000, 5000),
        "epochs": (2, 3, 10),
        "seeds": (2, 4, 5),  # of each network; fewer than four never allow a verdict on a difference
        "width": (0.25, 0.25, 0.5),  # of the paper's networks
        "timed_batch": (2, 4, 8),  # pictures in one call of a timed layer
        "repeats": (5, 11, 51),  # timings behind each median
        "network_batch": (4, 8, 32),  # pictures in one call of a timed network
        "network_repeats": (3, 7, 21),
    },
    "06_receptive_fields": {
        "chain_depths": ((2, 4, 8, 16), (2, 4, 8, 16, 32), (2, 4, 8, 16, 32)),  # layers of the random stacks
        "chain_seeds": (2, 3, 10),
        "chain_images": (2, 4, 8),  # pictures of noise behind one effective field
        "chain_channels": (4, 4, 8),
        "train_images": (200, 2000, 45000),
        "valid_images": (200, 1000, 5000),
        "epochs": (1, 3, 20),
        "seeds": (2, 3, 5),
        "images": (8, 32, 64),  # pictures behind one effective field of a trained network
    },
    "11_filters_and_attribution": {
        "standin_images": (600, 2000, 5000),  # shapes for the stand-ins, where there is no CIFAR-10
        "standin_epochs": (3, 6, 12),
        "standin_width": (0.25, 0.25, 0.5),  # of AlexNet
        "standin_blocks": (1, 1, 8),  # of the SE-residual network, in each stage
        "untrained": (10, 50, 200),  # networks behind the spread of a filter statistic
        "pool": (150, 500, 2000),  # validation pictures from which the examples are taken
        "shown": (3, 4, 4),  # pictures in a figure
        "images": (6, 40, 200),  # validation pictures behind each measured mean
        "cascade_images": (3, 16, 64),
        "cascade_seeds": (1, 2, 5),
        "ascent_steps": (24, 128, 512),
        "patch_images": (250, 2000, 20000),
    },
    "07_batchnorm_vgg": {
        "batch": (64, 128, 256),  # pictures behind the measurements on untrained networks
        "start_width": (0.125, 0.25, 1.0),  # of the patchify VGG that is trained from different starts
        "start_images": (320, 480, 20000),
        "start_batch": (16, 20, 64),
        "start_epochs": (4, 5, 10),
        "start_seeds": (1, 3, 5),
        "noise_width": (0.125, 0.25, 1.0),  # of VGG-A with noise behind its normalisation
        "noise_images": (480, 960, 20000),
        "noise_batch": (32, 64, 128),
        "noise_epochs": (2, 3, 10),
        "noise_seeds": (2, 3, 5),
        "valid_images": (128, 500, 5000),
        "tiny_images": (64, 256, 2000),  # validation pictures that are shown in batches of 1 to 64
    },
    "08_loss_landscapes": {
        "digits_epochs": (10, 10, 30),
        "random_directions": (1000, 1000, 10000),  # through the bowl of 1,000 axes
        "images": (24, 64, 1000),  # training pictures behind each point of a surface
        "grid": (7, 11, 51),  # points on a side of a surface; odd, so that the network itself is one of them
        "directions": (3, 6, 20),  # random directions behind a sharpness
        "stand_in_images": (
            128,
            1000,
            8000,
        ),  # without CIFAR-10: shapes that the eight networks are trained on
        "stand_in_epochs": (1, 3, 6),
        "pairs": (2, 4, 10),  # of solutions, of each kind
        "keep_every": (4, 4, 4),  # steps between two states of the path
        "path_grid": (15, 25, 41),
    },
    "09_training_choices": {
        "slip_epochs": (6, 16, 40),  # of the small network on digits under five schedules
        "slip_seeds": (2, 3, 5),  # of each schedule, and of each learning rate
        "rate_epochs": (3, 8, 20),
        "gradient_batch": (8, 32, 128),  # pictures behind the gradients of the network at full width
        "images": (300, 400, 400),  # training digits of the ablation in miniature
        "judges": (500, 1000, 1000),  # other digits, that judge it
        "epochs": (5, 9, 20),
        "seeds": (2, 5, 20),  # of each configuration
        "draws": (300, 2000, 20000),  # of the simulations of luck
        "cuts": (20, 100, 500),  # of the judging digits into two parts
    },
    "10_regularization_augmentation": {
        "question_epochs": (45, 120, 200),
        "draws": (500, 4000, 20000),  # of the noise, behind each mean error
        "decay_copies": (200, 2000, 10000),  # weights behind each mean weight
        "colour_images": (500, 5000, 45000),  # training pictures behind the covariance of the colours
        "digits_epochs": (8, 25, 60),
        "few_epochs": (10, 60, 120),  # of the trainings on a hundred digits
        "few_seeds": (2, 5, 10),
    },
    "12_transfer_learning": {
        "small_steps": (40, 100, 200),  # of 32 digits of 8×8 pixels
        "small_seeds": (2, 3, 10),
        "imagenet_images": (2, 12, 100),  # at 224×224 pixels
        "pool": (80, 600, 1000),  # pictures of a target from which the labelled ones are drawn
        "labelled": ((20, 40), (20, 100, 400), (20, 100, 500)),
        "judges": (60, 400, 400),  # validation pictures; digits has no more
        "seeds": (2, 3, 5),  # of the labelled pictures and the random weights
        "steps": (3, 32, 400),  # of 16 pictures, through all layers
        "patience_steps": (6, 128, 4000),
    },
    "13_noisy_labels": {
        "images": (500, 1137, 1137),  # training digits; with 300 for validation there are 1,137
        "epochs": (20, 30, 30),
        "seeds": (1, 3, 10),
        "folds": (3, 5, 10),
        "photo_images": (256, 800, 5000),
        "photo_epochs": (5, 10, 30),
        "photo_width": (0.125, 0.125, 0.25),  # of Cleanlab's network
    },
    "15_modern_architectures": {
        "gate_images": (40, 250, 2000),  # pictures behind the spread of a factor of squeeze and excitation
        "images": (256, 1200, 20000),  # training pictures of the two small networks
        "epochs": (2, 5, 20),
        "seeds": (2, 3, 5),
        "untrained": (3, 6, 30),  # networks behind the movement before training
        "valid_images": (128, 500, 5000),
        "shift_images": (32, 100, 2000),  # validation pictures; each is changed in 24 ways
        "step_batch": (8, 32, 128),  # pictures in one timed step of training
        "step_repeats": (2, 3, 11),  # timings behind each median
    },
    "14_contrastive_learning": {
        "circle_epochs": (16, 24, 60),  # on 240 digits, for each of three losses
        "circle_seeds": (1, 3, 5),
        "images": (200, 800, 20000),  # training pictures behind the probes
        "digit_images": (200, 400, 1100),
        "epochs": (2, 6, 40),  # of two views; cross-entropy gets twice as many of one
        "seeds": (1, 3, 5),
        "judges": (200, 1000, 5000),  # validation pictures that the probes are judged on
        "draws": (20, 100, 400),  # random batches behind each point of the curves over the batch size
    },
}


def current_profile() -> str:
    """The profile named by ``CNNLAB_PROFILE`` (default ``quick``); ``ValueError`` on an unknown one."""
    profile = os.environ.get("CNNLAB_PROFILE", "").strip().lower() or DEFAULT_PROFILE
    if profile not in PROFILES:
        raise ValueError(f"CNNLAB_PROFILE is {profile!r}; choose one of {', '.join(PROFILES)}")
    return profile


def sizes(lab: str, profile: str) -> SimpleNamespace:
    """The sizes of one lab in one profile; ``ValueError`` on a lab that has no entry."""
    if lab not in SIZES:
        raise ValueError(
            f"no sizes for lab {lab!r} in utils/course/profiles.py; there are {', '.join(SIZES)}"
        )
    column = PROFILES.index(profile)
    return SimpleNamespace(**{name: values[column] for name, values in SIZES[lab].items()})
