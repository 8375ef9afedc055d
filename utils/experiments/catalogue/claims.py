"""The published claims of the sources, each with the experiment that repeats it and the checks of it."""

from __future__ import annotations

from typing import Any

from utils.experiments import summary
from utils.experiments.catalogue import literature
from utils.experiments.claims import Alike, AtChance, Claim, Order, Published

REPORT = "student report on SE-residual networks and VGG-A"
KTH = "student project at KTH"
MOBILE = "paper on MobileNetV2 for CIFAR-10"
LECTURE = "lecture on convolutional networks"
CLEANLAB = "documentation of Cleanlab's CIFAR network"

# what the names in the tables mean, for a reader of the page who has not seen the experiments
LABELS = {
    REPORT: (
        "*base* is the network as printed (ReLU, 8 blocks a stage, Adam at .001, weight decay 10⁻⁴); the "
        "others change what they name. *sgd-same-rate* has Adam's learning rate, *sgd-own-rate* .1. *plain* "
        "and *bn* are VGG-A without and with batch normalization, with the learning rate behind the hyphen. "
        "The figures of C2 to C5 are from the report's own logs, one run each, which early stopping ended "
        "after different numbers of epochs (that of *sgd-same-rate* has three digits there); its text and "
        "curves have none. Those of C6 and C7 are its best of 20 epochs on the test images; ours are those "
        "of the last epoch, which can be points lower: at a constant rate the accuracy goes up and down."
    ),
    KTH: (
        "*base* is the network as printed, with the cyclic schedule. *smoothing-cutout* adds label "
        "smoothing and Cutout; *strided* has convolutions of stride 2 in the place of pooling, *gap* global "
        "average pooling in the place of dense layers, *combined* all of these; *no-bn* has no batch "
        "normalization. *step-each-10-batches* counts batches where *step* counts epochs. *supcon* is the "
        "supervised contrastive loss. *clean* has true labels; in *symmetric-30*, 30 % of them are wrong, of "
        "any other class alike."
    ),
    MOBILE: "*base* is the network as printed: expansion 7, stride 1 in the stage of 24 channels, SGD.",
    LECTURE: (
        "*base*, *bn*, *augmentation* and *regularisation* each keep what came before. *plain-20* and "
        "*plain-56* are networks of 20 and 56 layers without shortcuts."
    ),
    CLEANLAB: "*symmetric-30*: 30 % of the labels are wrong, of any other class alike.",
}

NO_CIFAR100 = (
    "CIFAR-100 is not among the data here; the experiment is ready to run, and C14 is its analogue on "
    "CIFAR-10"
)
ACCURACY = summary.accuracy_on_test
EARLY: dict[str, Any] = {
    "measure": summary.early_accuracy,
    "at": "validation accuracy after a fifth of the epochs",
    "final": False,
}
OWN_LOGS = "so the report's words; its own logs say the reverse"
AUGMENTED = "the training loss is that on augmented images, as in the lecture's curves"
SMOOTHED = (
    "with regularization the labels of the training loss are smoothed and those of the validation loss are "
    "not: their distance shrinks by that alone"
)
PAIR = "both networks of a co-teaching pair answer together; in the project one of them"
RATE_SET = "SGD's rate of .1 was set, not searched for"
WRONG = "in the project 27 % of the labels were wrong, here 30 %"
LARGE = "the queue leaves out ConvNeXt-T, which would take ten hours of a core"
MISTIMED = (
    "the project's code counted batches where the report says epochs, so its figures are those of other "
    "schedules than ours"
)
AS_IN_THE_CODE = "this schedule is the one of the project's code, which counted batches"
BANDS = (
    "in the logs of 12 public copies of this exercise, the band with BN is the wider one in the first epoch "
    "(in all but the report's own) and the narrower one after 20 (medians .393 without and .215 with, 8 logs)"
)
PUBLIC = "medians of the public copies of this exercise with augmentation, the report's among them: {}"
MIXED = (
    "ours has the cyclic schedule of the project's code and the strides of its text; the text has restarts, "
    "the code pooling"
)
COURSE = "a course exercise's picture: separately trained networks, not the loss along one gradient"
REMEDY: dict[str, Any] = {"untested": summary.no_memory, "remark": PAIR}


_ALL = (
    Claim(
        "C1",
        REPORT,
        "SE-residual net with 8 blocks a stage",
        "se-residual-narrow",
        (Published("base", 0.9206),),
        ACCURACY,
        full_experiment="se-residual",
        epochs=100,
        reference="section 1.2.1 and table 1",
        key="report-se-vgg",
    ),
    Claim(
        "C2",
        REPORT,
        "activation",
        "se-residual-narrow",
        (Order("base", "tanh", (0.8813, 0.8022)), Order("tanh", "sigmoid", (0.8022, 0.3153))),
        ACCURACY,
        full_experiment="se-residual",
        epochs=100,
        reference="figure 3",
        key="report-se-vgg",
    ),
    Claim(
        "C3",
        REPORT,
        "more blocks help (that the gain tapers off is not tested)",
        "se-residual-narrow",
        (
            Order("base", "7-blocks", (0.8817, 0.9107), remark=OWN_LOGS),
            Order("9-blocks", "base", (0.8995, 0.8817)),
        ),
        ACCURACY,
        full_experiment="se-residual",
        epochs=100,
        reference="figure 4",
        key="report-se-vgg",
    ),
    Claim(
        "C4",
        REPORT,
        "moderate weight decay helps, too much underfits",
        "se-residual-narrow",
        (
            Order("base", "decay-1e-6", (0.8907, 0.9039), remark=OWN_LOGS),
            Order("base", "decay-1e-3", (0.8907, 0.8195)),
        ),
        ACCURACY,
        full_experiment="se-residual",
        epochs=100,
        reference="figure 5",
        key="report-se-vgg",
    ),
    Claim(
        "C5",
        REPORT,
        "Adam is faster early than SGD",
        "se-residual-narrow",
        (
            Order("base", "sgd-same-rate", **EARLY),
            Order("base", "sgd-own-rate", claimed=False, remark=RATE_SET, **EARLY),
            Order("base", "sgd-same-rate", (0.9189, 0.539), at="at the end"),
            Order("base", "sgd-own-rate", at="at the end", claimed=False, remark=RATE_SET),
        ),
        ACCURACY,
        full_experiment="se-residual",
        epochs=100,
        reference="figure 6",
        key="report-se-vgg",
    ),
    Claim(
        "C6",
        REPORT,
        "VGG-A at learning rate 5e-4",
        "batchnorm-bands",
        (
            Published("plain-0.0005", 0.8484),
            Published("bn-0.0005", 0.8666),
            Order(
                "bn-0.0005",
                "plain-0.0005",
                (0.8666, 0.8484),
                remark=PUBLIC.format("86.84 % with and 85.13 % without (5 copies)"),
            ),
        ),
        ACCURACY,
        full_experiment="vgg-batchnorm",
        same_networks=True,
        epochs=20,
        reference="table 3",
        key="report-se-vgg",
    ),
    Claim(
        "C7",
        REPORT,
        "VGG-A at learning rate 1e-3",
        "batchnorm-bands",
        (
            Published("plain-0.001", 0.8244),
            Published("bn-0.001", 0.8696),
            Order(
                "bn-0.001",
                "plain-0.001",
                (0.8696, 0.8244),
                remark=PUBLIC.format("87.01 % with and 82.90 % without (7 copies)"),
            ),
        ),
        ACCURACY,
        full_experiment="vgg-batchnorm",
        same_networks=True,
        epochs=20,
        reference="table 3",
        key="report-se-vgg",
    ),
    Claim(
        "C8",
        REPORT,
        "mean width of the band of losses over four learning rates",
        "batchnorm-bands",
        (
            Published("without BN", 0.495, behind=("plain",)),
            Published("with BN", 0.170, behind=("bn",)),
            Order(
                "without BN", "with BN", (0.495, 0.170), at_length=True, behind=("plain", "bn"), remark=BANDS
            ),
        ),
        summary.band_width,
        unit="",
        full_experiment="vgg-batchnorm",
        same_networks=True,
        epochs=20,
        reference="figure 7",
        key="report-se-vgg",
    ),
    Claim(
        "C9",
        KTH,
        "patchify VGG",
        "patchify-vgg",
        (Published("base", 0.8392),),
        ACCURACY,
        full_experiment="patchify-vgg-published",
        same_networks=True,
        epochs=30,
        reference="section 5.1.1",
        key="project-kth",
    ),
    Claim(
        "C10",
        KTH,
        "label smoothing and Cutout",
        "patchify-vgg",
        (Published("smoothing-cutout", 0.8310), Order("base", "smoothing-cutout", (0.8392, 0.8310))),
        ACCURACY,
        full_experiment="patchify-vgg-published",
        same_networks=True,
        epochs=30,
        reference="section 5.1.2, figure 10",
        key="project-kth",
    ),
    Claim(
        "C11",
        KTH,
        "schedules",
        "patchify-vgg",
        (
            Published("warmup-cosine", 0.7997, incomparable=MISTIMED),
            Published("step-each-10-batches", 0.3079, remark=AS_IN_THE_CODE),
            Published("restarts-each-10-batches", 0.8162, remark=AS_IN_THE_CODE),
            Order("restarts", "warmup-cosine", (0.8162, 0.7997), incomparable=MISTIMED),
            Order("warmup-cosine", "step", (0.7997, 0.3079), incomparable=MISTIMED),
            Order("step", "step-each-10-batches", claimed=False),
            Order("restarts", "restarts-each-10-batches", claimed=False),
        ),
        ACCURACY,
        full_experiment="patchify-vgg-published",
        same_networks=True,
        epochs=30,
        reference="table 4",
        key="project-kth",
    ),
    Claim(
        "C12",
        KTH,
        "variants of the network",
        "patchify-vgg",
        (
            Published("strided", 0.8158),
            Published("gap", 0.8426),
            Published("combined", 0.7945, incomparable=MIXED),
            Order("gap", "base", (0.8426, 0.8392)),
            Order("base", "strided", (0.8392, 0.8158)),
            Order("strided", "combined", (0.8158, 0.7945), remark=MIXED),
        ),
        ACCURACY,
        full_experiment="patchify-vgg-published",
        same_networks=True,
        epochs=30,
        reference="section 5.1.2, figure 12",
        key="project-kth",
    ),
    Claim(
        "C13",
        KTH,
        "without batch normalization the patchify VGG does not learn",
        "patchify-vgg",
        (Published("no-bn", 0.1), AtChance("no-bn")),
        ACCURACY,
        full_experiment="patchify-vgg-published",
        same_networks=True,
        epochs=30,
        reference="section 4.1.1 and figure 6",
        key="project-kth",
    ),
    Claim(
        "C14",
        KTH,
        "ResNet-18, SE-ResNet-18 and ConvNeXt on CIFAR-10",
        "families-cifar10-narrow",
        (
            Published("resnet-18", 0.9192),
            Published("se-resnet-18", 0.9203),
            Published("convnext", 0.9159),
            Order("se-resnet-18", "resnet-18", (0.9203, 0.9192)),
            Order("resnet-18", "convnext", (0.9192, 0.9159)),
        ),
        ACCURACY,
        full_experiment="families-cifar10",
        epochs=120,
        reference="table 1",
        key="project-kth",
        left_out={"convnext": LARGE},
    ),
    Claim(
        "C15",
        KTH,
        "the same on CIFAR-100",
        "families-cifar100-narrow",
        (
            Published("resnet-18", 0.6889),
            Published("se-resnet-18", 0.7012),
            Published("convnext", 0.7077),
            Order("se-resnet-18", "resnet-18", (0.7012, 0.6889)),
            Order("convnext", "se-resnet-18", (0.7077, 0.7012)),
        ),
        ACCURACY,
        unrun=NO_CIFAR100,
        full_experiment="families-cifar100",
        epochs=120,
        reference="table 1",
        key="project-kth",
    ),
    Claim(
        "C16",
        KTH,
        "a ViT is behind ResNet-18 (CIFAR-100; here CIFAR-10)",
        "families-cifar10-narrow",
        (Order("resnet-18", "vit", (0.6889, 0.6276)),),
        ACCURACY,
        full_experiment="families-cifar10",
        epochs=120,
        reference="table 3",
        key="project-kth",
    ),
    Claim(
        "C17",
        KTH,
        "supervised contrast beats cross-entropy (CIFAR-100; here CIFAR-10)",
        "contrastive-plateau",
        (Order("supcon", "cross-entropy", (0.7120, 0.6889), remark=literature.BY_THE_HEAD),),
        ACCURACY,
        networks="narrower networks",
        epochs=100,
        reference="section 5.2.3",
        key="project-kth",
    ),
    Claim(
        "C18",
        KTH,
        "label noise and co-teaching (Imagenette; here CIFAR-10 and Cleanlab's network)",
        "noisy-labels-memorized",
        (
            Order("clean", "symmetric-30", (0.8400, 0.7192), untested=summary.no_memory, remark=WRONG),
            Order("co-teaching-symmetric-30", "symmetric-30", (0.7842, 0.7192), **REMEDY),
            Order("clean", "co-teaching-symmetric-30", (0.8400, 0.7842), remark=PAIR),
        ),
        ACCURACY,
        networks="other networks",
        epochs=30,
        reference="table 2",
        key="project-kth",
    ),
    Claim(
        "C19",
        MOBILE,
        "MobileNetV2 variant",
        "mobilenet-narrow",
        (Published("base", 0.948),),
        ACCURACY,
        full_experiment="mobilenet",
        epochs=200,
        reference="abstract, and section Experiments and Results",
        key="paper-mobilenetv2-cifar",
    ),
    Claim(
        "C20",
        MOBILE,
        "expansion 5, 6 and 7 (base) end alike, 7 is fastest",
        "mobilenet-narrow",
        (
            Alike(("expansion-5", "expansion-6", "base"), 0.01),
            Order("base", "expansion-5", **EARLY),
            Order("base", "expansion-6", **EARLY),
        ),
        ACCURACY,
        full_experiment="mobilenet",
        epochs=200,
        reference="figure 5",
        key="paper-mobilenetv2-cifar",
    ),
    Claim(
        "C21",
        MOBILE,
        "stride 1 is better than 2 in the 24-channel stage",
        "mobilenet-narrow",
        (Order("base", "stride-2"),),
        ACCURACY,
        full_experiment="mobilenet",
        epochs=200,
        reference="section Experiments and Results",
        key="paper-mobilenetv2-cifar",
    ),
    Claim(
        "C22",
        MOBILE,
        "Adam is faster, SGD (base) ends higher",
        "mobilenet-narrow",
        (Order("adam", "base", **EARLY), Order("base", "adam", at="at the end")),
        ACCURACY,
        full_experiment="mobilenet",
        epochs=200,
        reference="figure 7",
        key="paper-mobilenetv2-cifar",
    ),
    Claim(
        "C23",
        LECTURE,
        "distance between validation and training loss (CIFAR-100; here CIFAR-10)",
        "factorised-cifar10-narrow",
        (
            Order("base", "augmentation", remark=AUGMENTED),
            Order("bn", "augmentation", remark=AUGMENTED),
            Order("augmentation", "regularisation", incomparable=SMOOTHED),
            Order("bn", "base", unit="%", **EARLY),
        ),
        summary.overfitting,
        unit="",
        full_experiment="factorised-cifar10",
        epochs=200,
        reference="section 4, its curves",
        key="burileanu2024",
    ),
    Claim(
        "C24",
        LECTURE,
        "training error of plain networks",
        "degradation",
        (Order("plain-56", "plain-20"),),
        summary.train_error,
        full_experiment="degradation-paper-width",
        epochs=164,
        reference="figure 1 of He et al., shown in section 2",
        key="burileanu2024",
    ),
    Claim(
        "C25",
        CLEANLAB,
        "Cleanlab's network under label noise, with co-teaching",
        "noisy-labels-memorized",
        (Order("co-teaching-symmetric-30", "symmetric-30", claimed=False, **REMEDY),),
        ACCURACY,
        networks="narrower networks",
        epochs=200,
        reference="section Theoretical Basis, which recommends co-teaching and measures nothing",
        key="cleanlab2026",
    ),
)
CLAIMS: dict[str, Claim] = {claim.id: claim for claim in (*_ALL, *literature.CLAIMS)}
LABELS.update(literature.LABELS)
