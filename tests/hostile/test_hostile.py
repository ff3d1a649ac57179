"""Hostile programs against every sandbox, as root and an ordinary user; ten thousand runs that leave nothing.

The programs run in a driver process (``drive.py``). Sandboxes that the machine does not have are skipped, and
say why.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from drive import chosen
from programs import FAMILIES, PROGRAMS
from world import SECRET_VARIABLE, new_secret

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NOBODY = 65534
DEADLINE_S = 580
LAST_DEADLINE_S = 3000

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the sandboxes are built on Linux's own means"
)


class Driver:
    """Runs ``drive.py`` as one user, from a copy of the files it needs where that user cannot read ours."""

    def __init__(self, user: str, folder: Path) -> None:
        self.user, self.folder = user, folder
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        self.scratch.chmod(0o1777)
        self.python, self.source = sys.executable, HERE
        self.path = str(ROOT)
        if user == "ordinary":
            self.python, self.source, self.path = find_python(), folder / "hostile", str(folder)
            stage(folder)

    def run(self, backend: str, *arguments: str, deadline_s: float = DEADLINE_S) -> list[dict]:
        """Return what the driver said, line by line; skip the test when there is no such sandbox here."""
        ordinary = self.user == "ordinary"
        done = subprocess.run(
            [self.python, "-s", "-P", str(self.source / "drive.py"), backend, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline_s,
            cwd="/",
            env={
                **{name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ},
                "PYTHONPATH": f"{self.source}:{self.path}",
                "PYTHONDONTWRITEBYTECODE": "1",
                "HOME": str(self.scratch),
                "TMPDIR": str(self.scratch),
                SECRET_VARIABLE: new_secret(),
            },
            **({"user": NOBODY, "group": NOBODY, "extra_groups": []} if ordinary else {}),
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if lines and "cannot" in lines[0]:
            pytest.skip(f"no {backend} sandbox for {self.user} here: {lines[0]['cannot']}")
        assert done.returncode == 0, f"the driver died: {done.returncode} {done.stderr.decode()[-3000:]}"
        return lines


def stage(folder: Path) -> None:
    """Copy what the driver needs to where everybody may read it."""
    package = folder / "palaestra"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(ROOT / "palaestra" / "errors.py", package)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "sandboxes", package / "sandboxes", ignore=ignored)
    shutil.copytree(HERE, folder / "hostile", ignore=ignored)
    for path in [folder, *folder.rglob("*")]:
        if path != folder / "tmp":
            path.chmod(0o755 if path.is_dir() else 0o644)


def find_python() -> str:
    """Return a Python that an ordinary user may run: root's own is often out of reach."""
    new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    for candidate in (
        getattr(sys, "_base_executable", sys.executable),
        "/usr/local/bin/python3",
        "/usr/bin/python3",
    ):
        try:
            subprocess.run(
                [candidate, "-S", "-c", new_enough],
                check=True,
                cwd="/",
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip("an ordinary user can run no Python 3.11 or newer here")


@pytest.fixture(params=["self", "ordinary"])
def driver(request):
    if request.param == "ordinary" and os.geteuid() != 0:
        pytest.skip("these tests are an ordinary user's already")
    # Not pytest's own folder, which is shut to other users.
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        Path(folder).chmod(0o755)
        yield Driver(request.param, Path(folder))


@pytest.fixture
def own_driver():
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        yield Driver("self", Path(folder))


def check(lines: list[dict], names: list[str]) -> None:
    """Fail with every complaint, or when a program was left out."""
    assert [line["name"] for line in lines[1:]] == [program.name for program in chosen(names)]
    wrong = {line.get("name", "the sandbox"): line["complaints"] for line in lines if line["complaints"]}
    assert not wrong, json.dumps(wrong, indent=1)


families = pytest.mark.parametrize("family", FAMILIES)


def test_the_table_is_long_and_its_names_are_unique():
    assert len(PROGRAMS) >= 55
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)


@families
@pytest.mark.parametrize("backend", ["namespaces", "bare"])
def test_the_fork_sandbox_holds(driver, backend, family):
    check(driver.run(backend, family), [family])


@families
@pytest.mark.bubblewrap
def test_bubblewrap_holds(driver, family):
    check(driver.run("bubblewrap", family), [family])


@families
@pytest.mark.docker
def test_docker_holds(own_driver, family):
    check(own_driver.run("docker", family), [family])


BITING = [
    "reads-planted-secrets",
    "reads-the-grader",
    "reads-environments-of-others",
    "changes-a-foreign-file",
    "changes-a-foreign-files-attributes",
    "writes-through-links",
    "connects-by-tcp",
    "sends-by-udp",
    "listens",
    "connects-to-a-named-socket",
    "connects-to-an-abstract-socket",
    "sends-from-a-socket-pair",
    "kills-a-stranger",
    "meddles-with-queues-of-others",
    "fork-when-alone",
    "starts-a-command",
    "fills-many-files",
]


def test_harmless_ones_succeed_without_a_sandbox(driver):
    if driver.user == "self" and os.geteuid() == 0:
        pytest.skip("what is not confined is not run as root")
    lines = driver.run("subprocess", *BITING)
    assert [line["name"] for line in lines[1:] if not line["complaints"]] == []


def assert_nothing_is_left(lines: list[dict], runs: int) -> None:
    during, around = lines
    assert during["complaints"] == []
    assert sum(during["ended"].values()) == runs
    assert not [kind for kind in during["ended"] if "that" in kind]
    # A slot that was abandoned is made anew when it is needed, so there may be fewer things than before.
    assert all(during["after"][name] <= count for name, count in during["before"].items()), during
    assert around["after"] == around["before"]


@pytest.mark.parametrize("backend", ["namespaces", "bare"])
def test_a_few_hundred_mixed_runs_leave_nothing(own_driver, backend):
    assert_nothing_is_left(own_driver.run(backend, "leaks", "250"), 250)


@pytest.mark.leaks
@pytest.mark.parametrize(
    ("backend", "runs"),
    [
        ("namespaces", 10_000),
        ("bare", 3_000),
        pytest.param("bubblewrap", 3_000, marks=pytest.mark.bubblewrap),
        pytest.param("docker", 3_000, marks=pytest.mark.docker),
    ],
)
def test_thousands_of_mixed_runs_leave_nothing(own_driver, backend, runs):
    assert_nothing_is_left(own_driver.run(backend, "leaks", str(runs), deadline_s=LAST_DEADLINE_S), runs)
