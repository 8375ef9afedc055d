"""What the Makefile calls: ``python -m utils.publishing book | test | contents | record | …``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nbclient.exceptions import CellExecutionError

from utils.console import print_anywhere
from utils.course.profiles import PROFILES
from utils.publishing.book import build_book
from utils.publishing.contents import write_contents
from utils.publishing.counters import write_counters
from utils.publishing.instructors import write_instructors
from utils.publishing.notebooks import ROOT, labs, read, strip, write
from utils.publishing.publish import publish_site, publish_student
from utils.publishing.refresh import refresh
from utils.publishing.site import VERSIONS, write_site
from utils.publishing.stamp import stamp_all
from utils.publishing.student_tree import write_student_edition
from utils.publishing.suite import run_suite


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m utils.publishing", description="Build and tend the book."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    book = commands.add_parser("book", help="execute the labs and write the HTML book to _build/html")
    book.add_argument(
        "--profile", choices=PROFILES, default="smoke", help="how long the labs may run (default: smoke)"
    )
    book.add_argument(
        "--no-strict", dest="strict", action="store_false", help="do not treat warnings as errors"
    )
    commands.add_parser("test", help="run every test: units, labs, exercises, book, built pages")
    commands.add_parser(
        "contents", help="write contents, introduction and plan from the metadata of the labs"
    )
    counters = commands.add_parser(
        "counters",
        help="measure the page Against other counters and write it (needs fvcore, timm, torchinfo)",
    )
    counters.add_argument(
        "--from-record", action="store_true", help="only write its tables, from what was measured before"
    )
    numbers = commands.add_parser(
        "numbers", help="list the numbers of the prose that have changed, and those that have no mark"
    )
    numbers.add_argument(
        "page", nargs="*", help="such as labs/02_lenet.ipynb; default: the pages that are held to it"
    )
    named = commands.add_parser("terms", help="list words for which book/terms.csv has another")
    named.add_argument("page", nargs="*", help="such as labs/02_lenet.ipynb; default: pages held to it")
    record = commands.add_parser(
        "record", help="run labs in the profile quick and record what they measure (three minutes each)"
    )
    record.add_argument("lab", nargs="*", help="such as 02_lenet; default: those in which something is due")
    record.add_argument("--again", action="store_true", help="record anew what is not due, too")
    record.add_argument("--due", action="store_true", help="only say what is due and why")
    student = commands.add_parser("student", help="write the edition without solutions to _build/student")
    student.add_argument("--url", help="https://github.com/OWNER/NAME where students will find it")
    student.add_argument("--branch", default="main", help="its branch (default: main)")
    student.add_argument("--to", type=_folder, help="another folder, such as a clone of that repository")
    student.add_argument(
        "--nbgrader", action="store_true", help="for nbgrader; its course folder goes to _build/grading"
    )
    student.add_argument("--grading", type=_folder, help="another course folder; implies --nbgrader")
    commands.add_parser(
        "instructors", help="write answers and a marking guide for each lab to _build/instructors"
    )
    site = commands.add_parser("site", help="put the book that was built last into a folder of all versions")
    site.add_argument("--version", default="", help="a tag such as v1.2; default: the root of the site")
    site.add_argument("--to", type=_folder, help="another folder than _build/site")
    published = commands.add_parser("publish-site", help="do that with what is published, and push it")
    published.add_argument("--version", default="", help="a tag such as v1.2; default: the root of the site")
    handed_out = commands.add_parser("publish-student", help="write the student edition and push it")
    handed_out.add_argument(
        "--url", help="its repository, OWNER/NAME or the address; nothing is done without"
    )
    handed_out.add_argument("--branch", default="main", help="its branch (default: main)")
    handed_out.add_argument("--nbgrader", action="store_true", help="with nbgrader's marks")
    commands.add_parser("strip", help="remove the outputs that do not belong in git from every lab")
    renew = commands.add_parser("refresh", help="run labs and renew the outputs that stay in git")
    renew.add_argument("lab", nargs="*", help="such as 02_lenet; default: all")
    stamp = commands.add_parser("stamp", help="write the repository's address into every lab")
    stamp.add_argument("--url", help="new address, also written to _config.yml")
    stamp.add_argument("--branch", help="new branch, also written to _config.yml")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, RuntimeError, OSError, CellExecutionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "test":
        return run_suite()
    if options.command == "numbers":
        from utils.publishing.bound_numbers import bound_pages, chosen, report  # brings in torch

        told, failed = report(chosen(options.page) or bound_pages())
        print(told)
        return int(failed > 0)
    if options.command == "terms":
        from utils.publishing.terms import report as report_terms  # brings in torch

        return report_terms(options.page)
    if options.command == "record":
        return _record(options)
    if options.command == "book":
        build_book(options.profile, strict=options.strict)
    elif options.command == "contents":
        print("\n".join(write_contents()) or "all pages say what the labs say")
    elif options.command == "counters":
        write_counters(from_record=options.from_record)
    elif options.command == "student":
        grading = options.grading or (ROOT / "_build" / "grading" if options.nbgrader else None)
        told = write_student_edition(options.url, options.branch, to=options.to, grading=grading)
        print(f"{told}: {len(labs())} labs without solutions, for {options.url} (branch {options.branch})")
        if grading:
            print(f"{grading}: the course for nbgrader, with solutions; not for students")
    elif options.command == "instructors":
        print("\n".join([*write_instructors(), f"written to {ROOT / '_build' / 'instructors'}"]))
    elif options.command == "site":
        folder = write_site(options.version, options.to)
        print(f"{folder}: the site; its versions are named in {folder / VERSIONS}")
    elif options.command == "publish-site":
        print(publish_site(options.version))
    elif options.command == "publish-student":
        print(publish_student(options.url, options.branch, nbgrader=options.nbgrader))
    elif options.command == "strip":
        for path in labs():
            write(strip(read(path)), path)
    elif options.command == "refresh":
        for path in _chosen(options.lab):
            print(f"{path.name}: {refresh(path)} cells whose outputs stay in git")
    else:
        repository = stamp_all(options.url, options.branch)
        print(f"stamped {repository.url} (branch {repository.branch}) into {len(labs())} labs")
    return 0


def _folder(name: str) -> Path:
    return Path(name).expanduser()


def _chosen(names: list[str]) -> list[Path]:
    """The labs of these names, or all."""
    known = [path.stem for path in labs()]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no lab {', '.join(unknown)}; there are {', '.join(known)}")
    return [path for path in labs() if path.stem in (names or known)]


def _record(options: argparse.Namespace) -> int:
    from utils.publishing.measurements import due_measurements, record  # brings in torch

    chosen = _chosen(options.lab)
    due = [one for one in due_measurements() if not options.lab or one.lab in options.lab]
    if options.due:
        print("\n".join(map(str, due)) or "nothing is due")
        return int(bool(due))
    for path in chosen:
        if options.lab or options.again or path.stem in {one.lab for one in due}:
            print("\n".join(record(path, again=options.again)), flush=True)
    if not (due or options.lab or options.again):
        print("nothing is due; --again measures anew")
    return 0


if __name__ == "__main__":
    print_anywhere()
    sys.exit(main())
