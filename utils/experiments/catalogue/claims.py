"""The 25 published claims of the five sources, each with the experiment that repeats it and the checks that decide."""

from __future__ import annotations

from utils.experiments import measures
from utils.experiments.claims import Alike, Claim, Order, Published

REPORT = "student report on SE-residual networks and VGG-A"
KTH = "student project at KTH"
MOBILE = "paper on MobileNetV2 for CIFAR-10"
LECTURE = "lecture on convolutional networks"
CLEANLAB = "documentation of Cleanlab's CIFAR network"

NO_CIFAR100 = "CIFAR-100 is not among the data here; the experiment is ready to run, and C14 is its analogue on CIFAR-10"
ACCURACY = measures.test_accuracy

_ALL = (
    Claim("C1", REPORT, "SE-residual net with 8 blocks a stage", "se-residual-narrow", (Published("base", 0.9206),), ACCURACY),
    Claim(
        "C2", REPORT, "activation", "se-residual-narrow",
        (Order("base", "tanh", (0.881, 0.802)), Order("tanh", "sigmoid", (0.802, 0.315))), ACCURACY,
    ),
    Claim(
        "C3", REPORT, "more blocks help, then taper", "se-residual-narrow",
        (Order("base", "7-blocks", (0.882, 0.911)), Order("9-blocks", "base", (0.900, 0.882))), ACCURACY,
    ),
    Claim(
        "C4", REPORT, "moderate weight decay helps, too much underfits", "se-residual-narrow",
        (Order("base", "decay-1e-6", (0.891, 0.904)), Order("base", "decay-1e-3", (0.891, 0.820))), ACCURACY,
    ),
    Claim(
        "C5", REPORT, "Adam is faster early than SGD", "se-residual-narrow",
        (Order("base", "sgd-same-rate", (0.919, 0.539)), Order("base", "sgd-own-rate")), measures.early_accuracy,
    ),
    Claim(
        "C6", REPORT, "VGG-A at learning rate 5e-4", "batchnorm-bands",
        (
            Published("plain-0.0005", 0.8484), Published("bn-0.0005", 0.8666),
            Order("bn-0.0005", "plain-0.0005", (0.8666, 0.8484)),
        ), ACCURACY,
    ),
    Claim(
        "C7", REPORT, "VGG-A at learning rate 1e-3", "batchnorm-bands",
        (Published("plain-0.001", 0.8244), Published("bn-0.001", 0.8696), Order("bn-0.001", "plain-0.001", (0.8696, 0.8244))), ACCURACY,
    ),
    Claim(
        "C8", REPORT, "mean width of the loss band over four learning rates", "batchnorm-bands",
        (Published("without BN", 0.495), Published("with BN", 0.170), Order("without BN", "with BN", (0.495, 0.170))),
        measures.band_width, unit="",
    ),
    Claim("C9", KTH, "patchify VGG", "patchify-vgg", (Published("base", 0.8392),), ACCURACY),
    Claim(
        "C10", KTH, "label smoothing and Cutout", "patchify-vgg",
        (Published("smoothing-cutout", 0.8310), Order("base", "smoothing-cutout", (0.8392, 0.8310))), ACCURACY,
    ),
    Claim(
        "C11", KTH, "schedules", "patchify-vgg",
        (
            Published("warmup-cosine", 0.7997), Published("step", 0.3079), Published("restarts", 0.8162),
            Order("restarts", "warmup-cosine", (0.8162, 0.7997)), Order("warmup-cosine", "step", (0.7997, 0.3079)),
            Order("step", "step-each-10-batches"),
        ), ACCURACY,
    ),
    Claim(
        "C12", KTH, "variants of the network", "patchify-vgg",
        (
            Published("strided", 0.8158), Published("gap", 0.8426), Published("combined", 0.7945),
            Order("gap", "base", (0.8426, 0.8392)), Order("base", "strided", (0.8392, 0.8158)), Order("strided", "combined", (0.8158, 0.7945)),
        ), ACCURACY,
    ),
    Claim(
        "C13", KTH, "without batch normalisation the patchify VGG does not learn", "patchify-vgg",
        (Published("no-bn", 0.1), Order("base", "no-bn", (0.8392, 0.1))), ACCURACY,
    ),
    Claim(
        "C14", KTH, "ResNet-18, SE-ResNet-18 and ConvNeXt on CIFAR-10", "families-cifar10-narrow",
        (
            Published("resnet-18", 0.9192), Published("se-resnet-18", 0.9203), Published("convnext", 0.9159),
            Order("se-resnet-18", "resnet-18", (0.9203, 0.9192)), Order("resnet-18", "convnext", (0.9192, 0.9159)),
        ), ACCURACY,
    ),
    Claim(
        "C15", KTH, "the same on CIFAR-100", "families-cifar100-narrow",
        (
            Published("resnet-18", 0.6889), Published("se-resnet-18", 0.7012), Published("convnext", 0.7077),
            Order("se-resnet-18", "resnet-18", (0.7012, 0.6889)), Order("convnext", "se-resnet-18", (0.7077, 0.7012)),
        ), ACCURACY, why=NO_CIFAR100,
    ),
    Claim(
        "C16", KTH, "a ViT is behind ResNet-18 (CIFAR-100; here CIFAR-10)", "families-cifar10-narrow",
        (Order("resnet-18", "vit", (0.6889, 0.6276)),), ACCURACY,
    ),
    Claim(
        "C17", KTH, "supervised contrast beats cross entropy (CIFAR-100; here CIFAR-10)", "contrastive-cifar10-narrow",
        (Order("supcon", "cross-entropy", (0.7120, 0.6889)),), ACCURACY,
    ),
    Claim(
        "C18", KTH, "label noise and co-teaching (Imagenette; here CIFAR-10 and Cleanlab's network)", "noisy-labels-narrow",
        (
            Order("clean", "noise-may-redraw", (0.8400, 0.7192)), Order("co-teaching", "noise", (0.7842, 0.7192)),
            Order("clean", "co-teaching", (0.8400, 0.7842)),
        ), ACCURACY,
    ),
    Claim("C19", MOBILE, "MobileNetV2 variant", "mobilenet-narrow", (Published("base", 0.948),), ACCURACY),
    Claim(
        "C20", MOBILE, "expansion 5, 6 and 7 are alike", "mobilenet-narrow",
        (Alike(("expansion-5", "expansion-6", "base"), 0.01),), ACCURACY,
    ),
    Claim("C21", MOBILE, "stride 1 is better than 2 in the 24-channel stage", "mobilenet-narrow", (Order("base", "stride-2"),), ACCURACY),
    Claim("C22", MOBILE, "SGD ends higher than Adam", "mobilenet-narrow", (Order("base", "adam"),), ACCURACY),
    Claim(
        "C23", LECTURE, "distance between validation and training loss (CIFAR-100; here CIFAR-10)", "factorised-cifar10-narrow",
        (Order("base", "augmentation"), Order("bn", "augmentation"), Order("augmentation", "regularisation")), measures.overfitting, unit="",
    ),
    Claim(
        "C24", LECTURE, "training error of plain networks", "degradation", (Order("plain-56", "plain-20"),), measures.train_error,
    ),
    Claim(
        "C25", CLEANLAB, "Cleanlab's network under label noise, with co-teaching", "noisy-labels-narrow",
        (Order("co-teaching", "noise"), Order("co-teaching", "pair-noise")), ACCURACY,
    ),
)
CLAIMS: dict[str, Claim] = {claim.id: claim for claim in _ALL}
