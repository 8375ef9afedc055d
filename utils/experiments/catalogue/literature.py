"""Claims of the papers that the labs teach, with the figures that the papers print.

Figures were read off the tables named in ``reference``. A paper's errors are turned into accuracies.
"""

from __future__ import annotations

from typing import Any

from utils.experiments import summary
from utils.experiments.claims import Alike, AtChance, Claim, Order, Published
from utils.models.convnext_walk import STEPS

ACCURACY = summary.accuracy_on_test
NARROWER, OTHER = "narrower networks", "other networks"

HE = "He et al. 2016, deep residual learning"
HE_B = "He et al. 2016, identity mappings"
IOFFE = "Ioffe and Szegedy 2015, batch normalization"
BJORCK = "Bjorck et al. 2018, understanding batch normalization"
SANTURKAR = "Santurkar et al. 2018, how batch normalization helps"
LI = "Li et al. 2018, the loss landscape"
SPRINGENBERG = "Springenberg et al. 2015, the all convolutional net"
DEVRIES = "DeVries and Taylor 2017, Cutout"
SZEGEDY = "Szegedy et al. 2016, label smoothing"
HU = "Hu et al. 2018, squeeze and excitation"
HAN = "Han et al. 2018, co-teaching"
KHOSLA = "Khosla et al. 2020, supervised contrast"
KORNBLITH = "Kornblith et al. 2019, transfer"
DOSOVITSKIY = "Dosovitskiy et al. 2021, vision transformers"
LIU = "Liu et al. 2022, ConvNeXt"

LABELS = {
    HE: (
        "*plain* networks have no shortcuts, *residual* ones have; the number is that of their layers. "
        "The paper prints training errors as curves and test errors in a table; here test errors are "
        "turned into accuracies."
    ),
    HE_B: (
        "The five places of batch normalization (BN) and ReLU around the addition, in 110 layers: "
        "*original*; *bn-after-add*; *relu-before-add*; *relu-only-preact*; *full-preact*, where both "
        "come before each convolution."
    ),
    IOFFE: (
        "VGG-A by gradient descent with momentum at six rates from .003 to 1: *plain*; *bn*, with BN "
        "behind the convolutions; *bn-all*, also behind the two hidden layers. The largest rate that "
        "trains is told as a power of ten: −1 is .1."
    ),
    BJORCK: "The runs are those of the section before; the number behind the hyphen is the rate.",
    SANTURKAR: (
        "*plain* and *bn* are VGG-A without and with BN, the number is the rate. At every sixteenth step "
        "one walks against the gradient, .01 to .08 times its length; steps with a loss between .5 and "
        "1.5 are compared, so that both networks are equally far. *-noise* has noise behind each BN, or "
        "behind each convolution."
    ),
    LI: (
        "*plain* networks have no shortcuts, *residual* ones have. At distance 1 each filter has been "
        "changed by as much as it is long, in a random direction, and at ½ by half as much; the loss "
        "at distance 1 is told as a power of ten."
    ),
    SPRINGENBERG: (
        "*model-c* has pooling; *strided-cnn-c* leaves it out and has strides in the convolution before; "
        "*all-cnn-c* replaces it by a convolution with a stride; *convpool-cnn-c* has one more convolution, "
        "of stride 1, before the pooling."
    ),
    DEVRIES: (
        "Both networks see flips and crops; *cutout* besides a gray square of 16 pixels in each image."
    ),
    SZEGEDY: "Both networks see flips and crops; *smoothing* has labels of .91 and .01.",
    HU: ("*full-preact* is the residual network of 110 layers; *squeeze-excitation* rescales its channels."),
    HAN: (
        "*symmetric-50*: half of the labels are wrong, of any other class alike. *pair-45*: 45 % are "
        "wrong, each class taken for the next. *co-teaching-* are pairs of networks that choose for each "
        "other."
    ),
    KHOSLA: (
        "*supcon* and *simclr*: a head on an encoder that was trained by contrast, with and without "
        "labels. *untrained*: the same head on an encoder that was not trained."
    ),
    KORNBLITH: (
        "All networks learn five classes of CIFAR-10 from so many images with labels. *fine-tuned* and "
        "*frozen* begin with a network of the other five classes, *scratch* with random weights."
    ),
    DOSOVITSKIY: "*resnet-18* and *vit*, narrowed to one cost; the lead is that of the residual network.",
    LIU: "Each name is a step on the way and keeps those before it; *resnet* is the start.",
}

AT_LARGEST: dict[str, Any] = {
    "measure": summary.largest_rate,
    "unit": "",
    "at": "largest rate that trains",
    "final": False,
}
AMONG_STEPS: dict[str, Any] = {"unit": "", "final": False}
AT_HALF: dict[str, Any] = {"measure": summary.loss_at_half_distance, "at": "loss at distance ½"}
REMEDY: dict[str, Any] = {
    "untested": summary.no_memory,
    "remark": "both networks of a pair answer together; in the authors' code each by itself",
}

SPARSE = (
    "the paper: as good or better with fewer than 800 images; cut behind conv5 instead of the last hidden "
    "layer, ours are ahead, too, in all three draws (lab 12, Figure 12.5)"
)
BY_THE_HEAD = "whether contrast has converged is judged by the head alone"
STORED = "so far away the stored statistics of BN fit no longer, which can reverse the order (lab 8)"
GRID = "six rates were tried, so that seeds may agree without any spread"

# table 10: top-1 accuracy on ImageNet after each of the steps
WALK = (
    0.7882, 0.7936, 0.7951, 0.7828, 0.8050, 0.8064, 0.7992, 0.8057, 0.8062, 0.8127, 0.8141, 0.8147, 0.8197,
)  # fmt: skip


def _steps() -> tuple[Order, ...]:
    """Each step against the one before, in the direction that the paper prints."""
    orders = []
    published = dict(zip(STEPS, WALK, strict=True))
    for before, after in zip(STEPS, STEPS[1:], strict=False):
        higher, lower = sorted((after, before), key=published.__getitem__, reverse=True)
        orders.append(Order(higher, lower, (published[higher], published[lower])))
    return tuple(orders)


CLAIMS = (
    Claim(
        "C26",
        HE,
        "with shortcuts the deeper network has the lower training error",
        "degradation",
        (Order("residual-20", "residual-56"), Order("plain-56", "residual-56")),
        summary.train_error,
        full_experiment="degradation-paper-width",
        epochs=164,
        reference="arXiv:1512.03385, figure 6",
        key="he2016",
    ),
    Claim(
        "C27",
        HE,
        "with shortcuts the deeper network is the more accurate one",
        "degradation",
        (
            Published("residual-20", 0.9125),
            Published("residual-56", 0.9303),
            Order("residual-56", "residual-20", (0.9303, 0.9125)),
        ),
        ACCURACY,
        full_experiment="degradation-paper-width",
        epochs=164,
        reference="arXiv:1512.03385, table 6",
        key="he2016",
    ),
    Claim(
        "C28",
        HE_B,
        "the place of BN and ReLU around the addition matters, and both before the convolution are best",
        "shortcut-variants",
        (
            Published("original", 0.9339),
            Published("bn-after-add", 0.9183),
            Published("relu-before-add", 0.9216),
            Published("relu-only-preact", 0.9329),
            Published("full-preact", 0.9363),
            Order("original", "bn-after-add", (0.9339, 0.9183)),
            Order("original", "relu-before-add", (0.9339, 0.9216)),
            Order("full-preact", "original", (0.9363, 0.9339)),
        ),
        ACCURACY,
        full_experiment="identity-mappings",
        epochs=164,
        reference="arXiv:1603.05027, table 2",
        key="he2016b",
    ),
    Claim(
        "C29",
        IOFFE,
        "with BN, larger rates train",
        "vgg-rates",
        (
            Order(
                "bn", "plain", remark=f"the paper raises the rate of Inception 30-fold; {GRID}", **AT_LARGEST
            ),
            Order("bn-all", "plain", remark=GRID, **AT_LARGEST),
        ),
        ACCURACY,
        networks=OTHER,
        reference="arXiv:1502.03167, section 4.2 and figure 3",
        key="ioffe2015",
    ),
    Claim(
        "C30",
        BJORCK,
        "at a small rate BN does not help, and with BN a larger rate is better",
        "vgg-rates",
        (
            Alike(("bn-0.003", "plain-0.003"), 0.01),
            Order("bn-0.1", "bn-0.003"),
        ),
        ACCURACY,
        networks=OTHER,
        reference="arXiv:1806.02375, figure 1",
        key="bjorck2018",
    ),
    Claim(
        "C31",
        SANTURKAR,
        "with BN the loss varies less along the gradient",
        "vgg-rates-gradients",
        (
            Order("plain-0.01", "bn-0.01", at="largest less smallest loss", **AMONG_STEPS),
            Order("plain-0.03", "bn-0.03", at="largest less smallest loss", **AMONG_STEPS),
        ),
        summary.loss_along_gradient,
        networks=OTHER,
        reference="arXiv:1805.11604, figure 4a",
        key="santurkar2018",
    ),
    Claim(
        "C32",
        SANTURKAR,
        "with BN the gradient changes less along itself",
        "vgg-rates-gradients",
        (
            Order("plain-0.01", "bn-0.01", at="largest change", **AMONG_STEPS),
            Order("plain-0.03", "bn-0.03", at="largest change", **AMONG_STEPS),
            Order(
                "plain-0.01",
                "bn-0.01",
                at="change per distance",
                measure=summary.smoothness_along_gradient,
                **AMONG_STEPS,
            ),
            Order(
                "plain-0.03",
                "bn-0.03",
                at="change per distance",
                measure=summary.smoothness_along_gradient,
                **AMONG_STEPS,
            ),
        ),
        summary.change_along_gradient,
        networks=OTHER,
        reference="arXiv:1805.11604, figures 4b and 4c",
        key="santurkar2018",
    ),
    Claim(
        "C33",
        SANTURKAR,
        "noise behind BN takes nothing of its gain, and the same noise without BN prevents training",
        "vgg-noise",
        (Order("bn-noise", "plain"), Alike(("bn-noise", "bn"), 0.01), AtChance("plain-noise")),
        ACCURACY,
        networks=OTHER,
        epochs=38,
        reference="arXiv:1805.11604, section 2.1 and figure 2",
        key="santurkar2018",
    ),
    Claim(
        "C34",
        LI,
        "without shortcuts a deep network is less accurate than a shallow one, with them more",
        "degradation",
        (
            Published("residual-20", 0.9263),
            Published("residual-56", 0.9411),
            Published("plain-20", 0.9182),
            Published("plain-56", 0.8669),
            Order("residual-56", "plain-56", (0.9411, 0.8669)),
            Order("plain-20", "plain-56", (0.9182, 0.8669)),
            Order("residual-56", "residual-20", (0.9411, 0.9263)),
        ),
        ACCURACY,
        full_experiment="degradation-paper-width",
        epochs=300,
        reference="arXiv:1712.09913, figure 5",
        key="li2018",
    ),
    Claim(
        "C35",
        LI,
        "the loss around a deep network without shortcuts is steeper than with them, and than around a "
        "shallow one",
        "landscape-distances",
        (
            Order("plain-56", "residual-56", at="loss at distance 1", remark=STORED),
            Order("plain-56", "plain-20", at="loss at distance 1", remark=STORED),
            Order("plain-56", "residual-56", **AT_HALF),
            Order("plain-56", "plain-20", **AT_HALF),
        ),
        summary.loss_at_a_distance,
        unit="",
        networks=NARROWER,
        epochs=300,
        reference="arXiv:1712.09913, section 5 and figure 5",
        key="li2018",
    ),
    Claim(
        "C36",
        SPRINGENBERG,
        "a convolution with a stride can take the place of pooling",
        "all-convolutional",
        (
            Published("model-c", 0.9026),
            Published("strided-cnn-c", 0.8981),
            Published("convpool-cnn-c", 0.9069),
            Published("all-cnn-c", 0.9092),
            Order("model-c", "strided-cnn-c", (0.9026, 0.8981)),
            Order("all-cnn-c", "model-c", (0.9092, 0.9026)),
            Order("all-cnn-c", "convpool-cnn-c", (0.9092, 0.9069)),
        ),
        ACCURACY,
        epochs=350,
        reference="arXiv:1412.6806, table 3",
        key="springenberg2015",
    ),
    Claim(
        "C37",
        DEVRIES,
        "Cutout helps a residual network beside flips and crops",
        "resnet-18-additions",
        (
            Published("augmentation", 0.9528),
            Published("cutout", 0.9601),
            Order("cutout", "augmentation", (0.9601, 0.9528)),
        ),
        ACCURACY,
        networks=NARROWER,
        epochs=200,
        reference="arXiv:1708.04552, table 1",
        key="devries2017",
    ),
    Claim(
        "C38",
        SZEGEDY,
        "label smoothing helps",
        "resnet-18-additions",
        (
            Order(
                "smoothing",
                "augmentation",
                remark="the paper: about .2 points, Inception-v2 on ImageNet",
            ),
        ),
        ACCURACY,
        networks=OTHER,
        reference="arXiv:1512.00567, section 7 and table 3",
        key="szegedy2016",
    ),
    Claim(
        "C39",
        HU,
        "squeeze and excitation helps a residual network of 110 layers",
        "identity-mappings",
        (
            Published("full-preact", 0.9363),
            Published("squeeze-excitation", 0.9479),
            Order("squeeze-excitation", "full-preact", (0.9479, 0.9363)),
        ),
        ACCURACY,
        epochs=164,
        reference="arXiv:1709.01507, table 4",
        key="hu2018",
    ),
    Claim(
        "C40",
        HAN,
        "co-teaching saves much of what wrong labels cost once they are learned by heart",
        "noisy-labels-memorized",
        (
            Order("co-teaching-symmetric-50", "symmetric-50", (0.7402, 0.4887), **REMEDY),
            Order("co-teaching-pair-45", "pair-45", (0.7262, 0.4950), **REMEDY),
        ),
        ACCURACY,
        networks=NARROWER,
        epochs=200,
        reference="arXiv:1804.06872, table 5",
        key="han2018",
    ),
    Claim(
        "C41",
        KHOSLA,
        "contrast with labels is ahead of cross-entropy, and that of contrast without labels",
        "contrastive-plateau",
        (
            Published("supcon", 0.960),
            Published("cross-entropy", 0.950),
            Published("simclr", 0.936),
            Order("supcon", "cross-entropy", (0.960, 0.950), remark=BY_THE_HEAD),
            Order("cross-entropy", "simclr", (0.950, 0.936), remark=BY_THE_HEAD),
            Order("simclr", "untrained", claimed=False, remark=f"the floor: {BY_THE_HEAD}"),
        ),
        ACCURACY,
        networks=NARROWER,
        epochs=350,
        reference="arXiv:2004.11362, table 2",
        key="khosla2020",
    ),
    Claim(
        "C42",
        KORNBLITH,
        "with many labels fine-tuning beats frozen features, with few it does not; it beats training from "
        "scratch by more the fewer labels there are",
        "transfer-50",
        (
            Order("frozen with 50 images", "fine-tuned with 50 images", remark=SPARSE),
            Order("fine-tuned with 22,500 images", "frozen with 22,500 images"),
            Order("fine-tuned with 50 images", "scratch with 50 images"),
            Order(
                "lead with 50 images",
                "lead with 22,500 images",
                at="fine-tuned less from scratch",
                measure=summary.lead("fine-tuned", "scratch"),
                behind=("fine-tuned", "scratch"),
            ),
        ),
        ACCURACY,
        networks=OTHER,
        also=("transfer-500", "transfer-5000", "transfer-22500"),
        reference="arXiv:1805.08974, figure 1 (fine-tuned and frozen) and section 4.7; scratch, in words",
        key="kornblith2019",
    ),
    Claim(
        "C43",
        DOSOVITSKIY,
        "a residual network is ahead of a transformer on few images, and its lead shrinks with more",
        "families-plateau-1000",
        (
            Order("resnet-18 with 1,000 images", "vit with 1,000 images"),
            Order(
                "lead with 1,000 images",
                "lead with 45,000 images",
                at="residual network less transformer",
                measure=summary.lead("resnet-18", "vit"),
                behind=("resnet-18", "vit"),
            ),
        ),
        ACCURACY,
        networks=OTHER,
        also=("families-plateau-4000", "families-plateau-15000", "families-plateau-45000"),
        reference="arXiv:2010.11929, section 4.3, figures 3 and 4, on millions of images",
        key="dosovitskiy2021",
    ),
    Claim(
        "C44",
        LIU,
        "from ResNet-50 to ConvNeXt-T, step by step",
        "convnext-walk",
        _steps(),
        ACCURACY,
        networks=NARROWER,
        epochs=300,
        judged=50_000,
        reference="arXiv:2201.03545, table 10",
        key="liu2022",
    ),
)
