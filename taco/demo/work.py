"""The demo agent as a member of a team: small real files with a real test, or a check of the others'."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from pathlib import Path

from taco.demo.brief import Brief, listed, shorten
from taco.demo.calls import Call
from taco.demo.script import Actions, Steps, reported, run, session, taco

MARK = "made by the TACO demo agent (scripted, not a model)"

_MODULE = '''"""The part {name}: {mark}."""

ROLE = {role!r}


def describe() -> str:
    """One line that says what this part is."""
    return f"{name}: {{ROLE}}"
'''
_TEST = '''"""Tests of the part {name}: {mark}."""

import unittest

import {module}


class Test{title}(unittest.TestCase):
    def test_describe_names_the_part(self) -> None:
        self.assertTrue({module}.describe().startswith({name!r}))

    def test_the_role_is_said(self) -> None:
        self.assertIn({module}.ROLE, {module}.describe())


if __name__ == "__main__":
    unittest.main()
'''
_README = """# {name}

{role}

{mark}. Try it: `python -m unittest test_{module}`.
"""


def _module(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _files(brief: Brief) -> dict[str, str]:
    module = _module(brief.name)
    role = shorten(brief.role or "a part of the work", lines=1, columns=160)
    values = {
        "name": brief.name,
        "module": f"part_{module}",
        "title": module.title().replace("_", ""),
        "role": role,
        "mark": MARK,
    }
    return {
        f"README-{brief.name}.md": _README.format(**values),
        f"part_{module}.py": _MODULE.format(**values),
        f"test_part_{module}.py": _TEST.format(**values),
    }


def begin(act: Actions, brief: Brief) -> Steps:
    """The work that a brief asks for."""
    return check(act, brief) if brief.checks else build(act, brief)


def go_on(act: Actions, brief: Brief) -> Steps:
    """The first turn of a resumed run: the work, unless it has been reported."""
    mine = (yield from session(act)).agent(brief.name)
    if report := reported(mine):
        act.say(f"I have reported already: {report}")
    elif mine:
        yield from begin(act, brief)
    else:
        act.say("I cannot see whether I have reported already, so I wait.")


def build(act: Actions, brief: Brief) -> Steps:
    """Write the files, run their test, tell those who wait, report done."""
    act.say(f"I am {brief.name}. My work: {shorten(brief.role or 'not said; I write an example')}")
    for name, text in _files(brief).items():
        yield act.pause(0.6)
        act.say(_write(Path(name), text))
    tests = f"test_part_{_module(brief.name)}"
    yield act.pause(0.6)
    code, output = yield from run([sys.executable, "-B", "-m", "unittest", tests])
    act.say(f"python -m unittest {tests}: {_verdict(code, output)}")
    if code != 0:
        yield from taco(act, "fail", f"the tests of {brief.name} do not pass")
        return
    for teammate in brief.waiting:
        yield act.pause(0.3)
        yield from taco(act, "send", teammate, f"{brief.name} is ready: {tests}.py passes in {Path.cwd()}")
    yield act.pause(0.3)
    yield from _done(act, "module, test and README written; its tests pass")


def _write(path: Path, text: str) -> str:
    """Write a file unless it is there; says what was found or done."""
    if path.exists():
        mine = MARK in path.read_text(encoding="utf-8", errors="replace")
        return f"{path} is there already{' from my earlier work' if mine else ', not mine'}: I leave it."
    path.write_text(text, encoding="utf-8")
    return f"Wrote {path} ({len(text.splitlines())} lines)."


def _verdict(code: int, output: str) -> str:
    count = re.search(r"Ran (\d+) tests?", output)
    return f"{count[1] if count else 'no'} tests {'passed' if code == 0 else 'ran, failed'}"


def _done(act: Actions, summary: str) -> Steps:
    code, _ = yield from taco(act, "done", summary)
    if code == 0:
        act.say(f"Reported done: {summary}")


def check(act: Actions, brief: Brief) -> Steps:
    """Look for the tests that others wrote, run them, report."""
    act.say(f"I am {brief.name}. I check what the others have made.")
    yield act.pause(0.6)
    places = yield from _places(act, brief)
    ran, broken = 0, []
    for place in places:
        for test in _tests_in(place):
            yield act.pause(0.4)
            code, output = yield from run([sys.executable, "-B", "-m", "unittest", test.stem], cwd=str(place))
            act.say(f"{place.name}/{test.name}: {_verdict(code, output)}")
            ran += 1
            broken += [test.stem.removeprefix("test_part_")] if code else []
    yield act.pause(0.3)
    if broken:
        yield from taco(act, "fail", f"the tests of {listed(broken)} do not pass")
    elif ran:
        yield from _done(act, f"{ran} test files of the others run, all pass")
    else:
        act.say("I find nothing to check.")
        yield from _done(act, "nothing to check was found")


def _places(act: Actions, brief: Brief) -> Generator[float | Call, None, list[Path]]:
    """Directories where others may have written: as the session says, else here and beside."""
    found = yield from session(act)
    named = [
        Path(found.project_dir, agent["workspace"]) for agent in found.others(brief.name) if agent.get("workspace")
    ]
    places = named or [Path.cwd(), *_beside(Path.cwd())]
    return list(dict.fromkeys(path.resolve() for path in places if path.is_dir()))


def _beside(here: Path) -> list[Path]:
    try:
        return sorted(path for path in here.parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _tests_in(place: Path) -> list[Path]:
    """Tests that demo agents wrote there; nobody else's are run."""
    try:
        return [path for path in sorted(place.glob("test_part_*.py")) if MARK in path.read_text(encoding="utf-8")]
    except (OSError, ValueError):
        return []
