"""``python -m utils.data list | fetch NAME | verify NAME | where [NAME]``: what data there are, and where."""

from __future__ import annotations

import argparse
import os
import sys

from utils.console import print_anywhere
from utils.data.cache import ARRAYS, InvalidEntry, entries, read_meta
from utils.data.errors import CorruptFile
from utils.data.folders import cache_folder, data_root, decoded_folder, downloads_folder
from utils.data.hashing import file_digest, group_digest
from utils.data.load import load_dataset, not_found
from utils.data.local import LocalCopy, find_local, left_aside
from utils.data.sources import EMBEDDED, SOURCES, Source, get_source

FAILED, MISUSED = 1, 2  # exit codes


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 fine, 1 data missing or damaged, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="python -m utils.data", description="The datasets of the course.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="every dataset: what it is, its terms, whether it is on this machine")
    for command, text in (
        ("fetch", "download a dataset (if need be) and decode it, so that it opens at once from then on"),
        ("verify", "recompute the digests of a dataset's files and of its decoded copy"),
    ):
        commands.add_parser(command, help=text).add_argument("name", metavar="NAME")
    where = commands.add_parser("where", help="folders that are looked in, and what is found there")
    where.add_argument("name", metavar="NAME", nargs="?")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "list":
            return show_list()
        if chosen.command == "where":
            return show_where(chosen.name)
        return {"fetch": fetch_one, "verify": verify_one}[chosen.command](get_source(chosen.name))
    except (CorruptFile, OSError) as error:  # of the latter are DatasetNotFound, DiskFull, PermissionError
        print(f"Error: {error}", file=sys.stderr)
        return FAILED
    except ValueError as error:
        print(f"Error: {error}", file=sys.stderr)
        return MISUSED
    except KeyboardInterrupt:
        print("\nStopped. What has been downloaded so far is kept and resumed next time.", file=sys.stderr)
        return FAILED


def show_list() -> int:
    """One paragraph a dataset."""
    for source in SOURCES.values():
        print(f"{source.name:14} {source.summary}")
        print(f"{'':14} license: {source.license}")
        print(f"{'':14} {availability(source)}")
    for reason in dict.fromkeys(reason for source in SOURCES.values() for reason in left_aside(source)):
        print(f"{'left aside':14} {reason}")
    print(f"{'folder:PATH':14} your own pictures: a folder or archive with train/CLASS/ and test/CLASS/")
    return 0


def availability(source: Source) -> str:
    """Whether and from where a source is to be had, in a few words."""
    if source.name in EMBEDDED:
        return "here: embedded, needs no file"
    decoded = [meta for _, meta in entries(source.name, source.default_size)]
    local = find_local(source)
    if local is not None:
        state = "decoded" if decoded else "decoded at first use"
        return f"here: {local.label} ({state})"
    if decoded:
        return f"here: a decoded copy of {decoded[0].provenance.source}"
    sizes = [remote.size for remote in source.files if remote.size]
    much = f"{sum(sizes) / 1e6:,.0f} MB" if len(sizes) == len(source.files) else "about 100 MB"
    return f"not here: python -m utils.data fetch {source.name} downloads {much}"


def fetch_one(source: Source) -> int:
    """Make a dataset ready to open, by download if it is not on this machine."""
    if source.name in EMBEDDED:
        print(f"{source.name} is embedded: nothing to fetch.")
        return 0
    dataset = load_dataset(source.name, valid=0)
    print(f"{dataset}\nfrom {dataset.provenance.source}, sha256 {dataset.provenance.sha256}")
    return 0


def verify_one(source: Source) -> int:
    """Recompute every digest that is known of a dataset and report each."""
    if source.name in EMBEDDED:
        dataset = load_dataset(source.name, valid=0)
        print(f"ok       {source.name}: embedded, arrays sha256 {dataset.provenance.sha256}")
        return 0
    local = find_local(source)
    folders = [folder for folder in sorted(decoded_folder().glob("*")) if _belongs(folder, source)]
    if local is None and not folders:
        raise not_found(source, "so there is nothing to verify")
    good = True
    if local is not None:
        # decodes and so checks the files, unless that was done before
        load_dataset(source.name, valid=0, download=False)
        folders = [folder for folder in sorted(decoded_folder().glob("*")) if _belongs(folder, source)]
        digest = group_digest(local.files, local.base)
        known = any(read_meta(folder).provenance.sha256 == digest for folder in folders)
        good &= known
        print(f"{'ok' if known else 'CHANGED':8} {local.label}: sha256 {digest}{_official(source, local)}")
    for folder in folders:
        meta = read_meta(folder)
        for name in ARRAYS:
            path = folder / f"{name}.npy"
            right = path.is_file() and file_digest(path) == meta.arrays[name]["sha256"]
            good &= right
            print(f"{'ok' if right else 'DAMAGED':8} {folder.name}/{name}.npy")
    if not good:
        print(
            "Something differs from what was decoded. "
            f"Delete its folder in {decoded_folder()}; it is made again at the next use.",
            file=sys.stderr,
        )
    return 0 if good else FAILED


def _belongs(folder, source: Source) -> bool:
    try:
        return read_meta(folder).name == source.name
    except InvalidEntry:
        return False


def _official(source: Source, local: LocalCopy) -> str:
    known = {remote.path.rsplit("/", 1)[-1]: remote.md5 for remote in source.files}
    if not known or not all(path.name in known for path in local.files):
        return ""
    same = all(file_digest(path, "md5") == known[path.name] for path in local.files)
    return ", the official files" if same else ", not byte-identical to the official files"


def show_where(name: str | None) -> int:
    """Folders looked in, in order, and for one dataset what is looked for and found."""
    own = data_root()
    print(f"CNNLAB_DATA   {own if own else 'not set'}")
    print(f"CNNLAB_CACHE  {cache_folder()}{'' if os.environ.get('CNNLAB_CACHE') else ' (default)'}")
    print(f"  decoded     {decoded_folder()}")
    print(f"  downloads   {downloads_folder()}")
    if name is None:
        return 0
    source = get_source(name)
    if source.name in EMBEDDED:
        print(f"{name}: embedded, no file is looked for")
        return 0
    if source.place:
        print(f"looked for    {source.place}")
    local = find_local(source)
    print(f"found         {local.path if local else 'no file'}")
    for reason in left_aside(source):
        print(f"left aside    {reason}")
    for folder, meta in entries(source.name, source.default_size):
        print(f"decoded copy  {folder} ({meta.provenance.title}, from {meta.provenance.source})")
    return 0


if __name__ == "__main__":
    print_anywhere()
    sys.exit(main())
