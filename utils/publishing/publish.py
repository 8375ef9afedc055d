"""``make publish-site`` and ``make publish-student``: what was built here, pushed to where readers find it.

Each keeps a repository of its own below ``_build``: it fetches what was published before, lets the command
that builds fill the folder, and pushes what has changed. The workflows call the same commands.
"""

from __future__ import annotations

import base64
import datetime
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from utils.publishing.notebooks import ROOT
from utils.publishing.site import VERSIONS, write_site
from utils.publishing.stamp import Repository, configured
from utils.publishing.student_tree import write_student_edition

SITE_BRANCH = "site"  # of this repository: the books as they are published, no history
KEY, TOKEN = "STUDENT_DEPLOY_KEY", "GITHUB_TOKEN"  # variables of the environment
NO_REPOSITORY = "No repository for students is named (STUDENT_REPOSITORY): nothing is published."
NO_KEY = f"The secret {KEY} is not set: nothing is published."
ATTEMPTS = 4
ROBOT = ("github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com")


def publish_student(
    url: str | None,
    branch: str = "main",
    *,
    nbgrader: bool = False,
    remote: str | None = None,
    environment: Mapping[str, str] = os.environ,
    root: Path = ROOT,
) -> str:
    """Write the student edition and push it to its repository; returns one line that says what was done.

    Nothing is done where ``url`` is empty, or where the environment has an empty ``STUDENT_DEPLOY_KEY``, as
    a workflow does whose secret is not set. With a key in it, that key is used, and the user's own
    credentials without the variable. ``nbgrader``: with nbgrader's marks; its course folder, which is not
    pushed, goes to ``_build/grading``. ``remote``: where to push instead of ``url``. ``RuntimeError`` with
    what git said if that failed; ``ValueError`` as of :func:`write_student_edition`.
    """
    if not url:
        return NO_REPOSITORY
    key = environment.get(KEY)
    if key is not None and not key.strip():
        return NO_KEY
    url = url if "://" in url else f"https://github.com/{url}"
    slug = Repository(url, branch).slug
    remote = remote or (f"git@github.com:{slug}.git" if key else url)
    folder = root / "_build" / "published-student"
    with _with_key(key, environment) as surroundings:
        git = Git(folder, surroundings)
        git.fetch(remote, branch)
        grading = root / "_build" / "grading" if nbgrader else None
        write_student_edition(url, branch, root=root, to=folder, grading=grading)
        day = datetime.datetime.now(datetime.UTC)
        if not git.push(branch, f"The labs, {day:%Y-%m-%d}"):
            return f"{url} has this student edition already (branch {branch})."
    return f"The student edition is published: {url} (branch {branch})."


def publish_site(
    version: str = "",
    *,
    remote: str | None = None,
    environment: Mapping[str, str] = os.environ,
    root: Path = ROOT,
) -> str:
    """Put the book into the site, at its root or as a version, and push the branch that holds the site.

    Returns one line that says what was done. ``ValueError`` if the links in the book lead to another
    repository or, of a version, to another branch; ``RuntimeError`` with what git said if that failed.
    ``remote``: where to push, by default ``origin`` of this repository.
    """
    _refuse_other_links(version, environment.get("GITHUB_REPOSITORY", ""), root)
    folder = root / "_build" / "published-site"
    if remote is None:
        remote = Git(root, environment).out("remote", "get-url", "origin")
    git = Git(folder, {**environment, **_token(environment.get(TOKEN, ""), environment)})
    name = f"version {version[1:]}" if version else "the newest state"
    for attempt in range(ATTEMPTS):  # main and a tag are often pushed together
        git.fetch(remote, SITE_BRANCH)
        write_site(version, folder, root)
        try:
            pushed = git.push(SITE_BRANCH, f"The book: {name}", history=False)
            break
        except PushedMeanwhile:
            if attempt == ATTEMPTS - 1:
                raise
    if not pushed:
        return f"The site has this book already; all versions: {folder / VERSIONS}"
    return f"The site is on the branch {SITE_BRANCH}, with {name}; all versions: {folder / VERSIONS}"


class PushedMeanwhile(RuntimeError):
    """Somebody else has pushed to the branch since it was fetched; nothing was overwritten."""


class Git:
    """Git in one folder. Every failure is a ``RuntimeError`` with what git said."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {**environment, "GIT_TERMINAL_PROMPT": "0"}
        self.remote, self.before = "", ""  # and the commit that its branch had

    def out(self, *arguments: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.environment, capture_output=True, encoding="utf-8"
        )
        if done.returncode:
            told = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
            raise RuntimeError(f"git {arguments[0]} failed in {self.folder}: {' '.join(told[-6:])}")
        return done.stdout.strip()

    def fetch(self, remote: str, branch: str) -> None:
        """Make the folder hold what the branch of the remote holds; nothing if there is no such branch."""
        if not (self.folder / ".git").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise RuntimeError(f"{self.folder} is no repository and not empty: delete it")
            self.out("init", "--quiet")
        self.remote = remote
        there = self.out("ls-remote", "--heads", remote, f"refs/heads/{branch}")
        if there:
            self.out("fetch", "--quiet", "--depth", "1", remote, f"refs/heads/{branch}")
            self.out("checkout", "--quiet", "--force", "-B", branch, "FETCH_HEAD")
        else:
            self.out("read-tree", "--empty")
        self.out("clean", "--quiet", "--force", "-d", "-x")
        self.before = there.split()[0] if there else ""

    def push(self, branch: str, message: str, *, history: bool = True) -> bool:
        """Commit all that has changed since :meth:`fetch` and push it; returns whether there was anything.

        Without ``history`` the branch holds one commit, and what it held before is forgotten.
        """
        self.out("add", "--all", "--force")
        tree = self.out("write-tree")
        if self.before and tree == self.out("rev-parse", "HEAD^{tree}"):
            return False
        parents = ["-p", "HEAD"] if history and self.before else []
        commit = self.out(*self._identity(), "commit-tree", tree, *parents, "-m", message)
        # refused if somebody else has pushed since
        lease = f"--force-with-lease=refs/heads/{branch}:{self.before}"
        try:
            self.out("push", "--quiet", lease, self.remote, f"{commit}:refs/heads/{branch}")
        except RuntimeError as error:
            raise (PushedMeanwhile(str(error)) if "stale info" in str(error) else error) from error
        return True

    def _identity(self) -> list[str]:
        """The user's own name where git knows it; that of the workflow's robot elsewhere."""
        try:
            self.out("config", "user.email")
        except RuntimeError:
            return ["-c", f"user.name={ROBOT[0]}", "-c", f"user.email={ROBOT[1]}"]
        return []


def _refuse_other_links(version: str, slug: str, root: Path) -> None:
    repository = configured(root)
    wrong_place = slug and slug.lower() != repository.slug.lower()
    if wrong_place or (version and repository.branch != version):
        there = f"https://github.com/{slug}" if wrong_place else repository.url
        branch = version or repository.branch
        raise ValueError(
            f"the links in the labs lead to {repository.url}, branch {repository.branch}: "
            f"`make stamp URL={there} BRANCH={branch}` and commit, then publish"
        )
    built_with = root / "_build" / "book_config.yml"  # what the book that was built last was built from
    if built_with.exists() and (built := configured(root, built_with)) != repository:
        raise ValueError(
            f"the book was built for {built.url}, branch {built.branch}, before the labs were stamped: "
            "`make book`, then publish"
        )


def _token(token: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables by which git shows a token to GitHub, without its standing in a command or a file."""
    if not token:
        return {}
    number = int(environment.get("GIT_CONFIG_COUNT") or 0)
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": "http.https://github.com/.extraheader",
        f"GIT_CONFIG_VALUE_{number}": f"AUTHORIZATION: basic {basic}",
    }


@contextmanager
def _with_key(key: str | None, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a git that uses this private key, which no other program sees."""
    surroundings = {name: value for name, value in environment.items() if name != KEY}
    if not key:
        yield surroundings
        return
    with tempfile.TemporaryDirectory() as folder:
        file, hosts = Path(folder) / "key", Path(folder) / "known_hosts"
        file.touch(mode=0o600)
        file.write_text(key.strip().replace("\r", "") + "\n", encoding="utf-8")
        options = f'-i "{file}" -o IdentitiesOnly=yes -o UserKnownHostsFile="{hosts}"'
        ssh = f"ssh {options} -o StrictHostKeyChecking=accept-new -o BatchMode=yes"
        yield {**surroundings, "GIT_SSH_COMMAND": ssh}
