"""The pure rooms of the demo agent: keys, cells, the composer, what it understands, the team it designs."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taco import brief as briefs
from taco import files, spec
from taco.demo import cells, mother
from taco.demo.brief import (
    Directive,
    Message,
    brief_file,
    directives,
    is_brief,
    read_brief,
    read_message,
    request_of,
    shorten,
)
from taco.demo.composer import Composer
from taco.demo.keys import Decoder, Key
from taco.demo.options import read_options
from taco.demo.script import Session, read_session, reported
from taco.models import Agent, AgentSpec
from taco.provider import Provider, parse_provider
from taco.screen import Reading, read_screen
from tests.support.paths import FIXTURES, PACKAGE

SCREENS = FIXTURES / "screens" / "demo"
WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40)


def provider(name: str) -> Provider:
    path = PACKAGE / "providers" / f"{name}.toml"
    return parse_provider(tomllib.loads(path.read_text("utf-8")), str(path))


# keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"hi\r", [Key("text", "hi"), Key("enter")]),
        (b"a\nb", [Key("text", "a"), Key("newline"), Key("text", "b")]),
        (b"\x1b[200~a\r\nb\rc\nd\x1b[201~", [Key("paste", "a\nb\nc\nd")]),
        (b"\x1b[200~\x1b[201~x", [Key("paste", ""), Key("text", "x")]),
        (b"\x1b[A\x1bOB\x1b[3~\x1b[1;5C", [Key("up"), Key("down"), Key("delete")]),
        (b"\x1b\r", [Key("newline")]),
        (b"\x1bx", [Key("escape"), Key("text", "x")]),
        (b"\x03\x15\x7f\x07", [Key("ctrl-c"), Key("ctrl-u"), Key("backspace")]),
        ("→ ü漢".encode(), [Key("text", "→ ü漢")]),
        (b"a\xffb", [Key("text", "a\udcffb")]),
    ],
)
def test_keys(data: bytes, keys: list[Key]) -> None:
    assert Decoder().feed(data) == keys


@given(text=WORDS, pasted=st.text(st.characters(exclude_characters="\x1b\r", exclude_categories=["Cs"])), cut=st.data())
def test_keys_cut_anywhere_by_reads(text: str, pasted: str, cut: st.DataObject) -> None:
    data = text.encode() + b"\x1b[200~" + pasted.encode() + b"\x1b[201~\r"
    decoder, keys = Decoder(), []
    while data:
        size = cut.draw(st.integers(1, len(data)))
        keys += decoder.feed(data[:size])
        data = data[size:]
    assert "".join(key.text for key in keys if key.name == "text") == text
    assert [key.text for key in keys if key.name == "paste"] == [pasted]
    assert keys[-1] == Key("enter")


def test_a_lone_escape_is_told_apart_by_what_follows() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.waits_for_more
    assert decoder.flush() == [Key("escape")]
    assert not decoder.waits_for_more
    assert decoder.feed(b"\x1b") + decoder.feed(b"[C") == [Key("right")]


# cells


@given(WORDS, st.integers(2, 30))
def test_hard_wrap_keeps_every_character(line: str, columns: int) -> None:
    rows = cells.hard_wrap(line, columns)
    assert "".join(rows) == line
    assert all(cells.text_width(row) <= columns for row in rows)


@given(WORDS, st.integers(2, 30))
def test_wrap_keeps_every_word(line: str, columns: int) -> None:
    rows = cells.wrap(line, columns)
    assert "".join("".join(rows).split()) == "".join(line.split())
    assert all(cells.text_width(row) <= columns for row in rows)


def test_nothing_printable_moves_the_cursor() -> None:
    assert cells.printable("a\x1b[2Jb\r\udcff\n\t") == "a\ufffd[2Jb\ufffd\ufffd\n\t"


# composer


def press(composer: Composer, data: bytes) -> Composer:
    for key in Decoder().feed(data):
        composer.press(key)
    return composer


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"abc\x7f", "ab"),
        (b"\x7f\x1b[C\x1b[3~", ""),
        (b"abc\x1b[D\x1b[Dx", "axbc"),
        (b"abc\x01x\x05y", "xabcy"),
        (b"one two\x17", "one "),
        (b"one\ntwo\x15x", "x"),
        (b"one\ntwo\x1b[D\x15", "o"),
        (b"one\ntwo\x1b[A\x01\x0b", "\ntwo"),
        (b"one\ntwo\x1b[A\x1b[Bx", "one\ntwox"),
        (b"ab\ncdef\x1b[Ax\x1b[By", "abx\ncdeyf"),
        (b"abc\x01\x1b[3~", "bc"),
        (b"a\tb", "a\tb"),
    ],
)
def test_edits(data: bytes, text: str) -> None:
    assert press(Composer(), data).text.rstrip("\n") == text


def test_a_long_paste_is_a_placeholder_that_submits_its_text() -> None:
    long = "\n".join(f"line {number}" for number in range(40))
    composer = press(Composer(), b"see: \x1b[200~" + long.encode() + b"\x1b[201~ thanks")
    assert composer.draw(80, 20).rows == ["> see: [Pasted text #1 +39 lines] thanks"]
    assert composer.text == f"see: {long} thanks"
    assert press(composer, b"\x17\x7f\x7f").take() == "see: "
    assert composer.take() == ""


def test_a_paste_that_does_not_fit_collapses() -> None:
    composer = Composer()
    composer.draw(20, 3)
    composer.paste("x" * 60)
    assert composer.draw(20, 3).rows == ["> [Pasted text #1 6", "  0 chars]"]


def test_a_drawn_draft_has_its_cursor() -> None:
    composer = press(Composer(), "漢字漢字\nab".encode())
    drawn = composer.draw(9, 10)
    assert drawn.rows == ["> 漢字漢", "  字", "  ab"]
    assert (drawn.row, drawn.column) == (2, 4)
    drawn = press(composer, b"\x1b[A\x01").draw(9, 10)
    assert (drawn.row, drawn.column) == (0, 2)


def test_a_tall_draft_shows_the_rows_at_the_cursor() -> None:
    composer = press(Composer(), b"\n".join(b"%d" % number for number in range(10)))
    assert composer.draw(20, 3).rows == ["> 7", "  8", "  9"]
    assert press(composer, b"\x1b[A" * 9).draw(20, 3).rows == ["> 0", "  1", "  2"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.integers(8, 40), st.integers(1, 6))
def test_a_draft_stays_on_the_screen(text: str, columns: int, limit: int) -> None:
    composer = Composer()
    composer.insert(text)
    drawn = composer.draw(columns, limit)
    assert len(drawn.rows) <= limit
    assert drawn.row < len(drawn.rows)
    assert drawn.column < columns
    assert all(cells.text_width(row) < columns for row in drawn.rows)


# what it understands

TEAM = (
    AgentSpec("api", "builds the API with tests", 3, notifies=("validator",)),
    AgentSpec("validator", "checks all of it", 4, wait_for=("api",)),
)


def real_brief(agent: AgentSpec) -> str:
    team = [
        Agent(each.window, each.name, each.role, wait_for=each.wait_for, notifies=each.notifies, workspace=each.name)
        for each in TEAM
    ]
    values = briefs.agent_values(team[agent.window - 3], team, {}, project_dir="/p", prompt="an api\n\nRole: none")
    return files.prompt("agent", values)


def test_the_real_brief_is_understood() -> None:
    text = real_brief(TEAM[0])
    assert is_brief(text)
    assert read_brief(text, "api") == ("api", "builds the API with tests", ("validator",), False)
    assert read_brief(real_brief(TEAM[1]), "validator") == ("validator", "checks all of it", (), True)


def test_a_text_that_is_no_brief() -> None:
    assert not is_brief("[mother → api]: call taco done when you are ready")
    assert read_brief("do something", "x") == ("x", "", (), False)


def test_the_request_in_the_real_prompt_of_mother() -> None:
    text = files.prompt("mother", briefs.mother_values(project_dir="/p", prompt="a web page\nwith tests", max_agents=9))
    assert is_brief(text)
    assert request_of(text) == "a web page\nwith tests"
    assert request_of(" only this ") == "only this"


def test_a_brief_that_lies_in_a_file() -> None:
    assert brief_file("Read your brief in /h/s/briefs/mother.md first.") == "/h/s/briefs/mother.md"
    assert brief_file("Read your brief in the file first, then begin.") == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mother → api]: hi\nthere", Message("mother", "hi\nthere")),
        ("[a → b]: [c → d]: x", Message("a", "[c → d]: x")),
        ("[not a header] x", Message("", "[not a header] x")),
        ("plain", Message("", "plain")),
    ],
)
def test_messages(text: str, message: Message) -> None:
    assert read_message(text) == message


def test_directives() -> None:
    assert directives("!busy 3\nand !not this\n!ask which port?") == [
        Directive("busy", "3"),
        Directive("ask", "which port?"),
    ]
    assert directives("wow!") == []


def test_shorten() -> None:
    assert shorten("a\nb\nc", lines=2) == "a\nb\n… (+1 lines)"
    assert shorten("abcdef", columns=4) == "abcd… (+2 characters)"
    assert shorten("abc") == "abc"


def test_what_the_session_says() -> None:
    agents = [{"name": "mother"}, {"name": "api", "done": "it works"}, {"name": "web", "done": "", "failed": "why"}]
    found = read_session(json.dumps({"project_dir": "/p", "agents": agents}))
    assert found.project_dir == "/p"
    assert found.others("web") == [agents[1]]
    assert found.agent("nobody") == {}
    assert [reported(agent) for agent in agents] == ["", "it works", "failed: why"]


@pytest.mark.parametrize("text", ["no json", "[]", "3", '{"agents": 3}', '{"agents": [3]}', "null"])
def test_a_status_that_is_something_else(text: str) -> None:
    assert read_session(text) == Session()


# Mother

REQUESTS = {
    "build me a todo app": ["builder", "validator"],
    "a REST API, a web frontend and tests": ["api", "web", "frontend", "tester"],
    "a cli": ["cli", "validator"],
    "api backend database web frontend cli docs": ["api", "backend", "database", "web", "validator"],
    "capital interest": ["builder", "validator"],
}


@pytest.mark.parametrize("request_text", REQUESTS)
def test_the_team_for_a_request(request_text: str) -> None:
    team = mother.design(request_text)["agents"]
    assert [agent["name"] for agent in team] == REQUESTS[request_text]
    assert team[-1]["wait_for"] == REQUESTS[request_text][:-1]
    assert all(agent["notifies"] == [team[-1]["name"]] for agent in team[:-1])
    assert "notifies" not in team[-1]


@given(st.text(max_size=600))
def test_every_request_gives_a_valid_spec(request_text: str) -> None:
    text = mother.spec_text(mother.design(request_text))
    team = spec.parse_spec(text, example=files.prompt("mother", {"project_dir": "/p", "prompt": "", "max_agents": "5"}))
    assert 2 <= len(team.agents) <= 5
    assert team.warnings == ()


# options


def test_options() -> None:
    found = read_options(["--name", "api", "--speed", "0", "a", "brief"], {"TACO_DEMO_LOG": "/tmp/{agent}.log"})
    assert (found.name, found.mother, found.prompt, found.speed) == ("api", False, "a brief", 0.0)
    assert found.log == "/tmp/api.log"
    assert read_options([], {"TACO_AGENT": "mother", "TACO_DEMO_SPEED": "0.5"})[:2] == ("mother", True)
    assert read_options(["--role", "mother"], {}).mother
    assert read_options([], {"TACO_DEMO_SPEED": "fast"}).speed == 1.0
    assert read_options(["--resume", "/p/brief.md"], {})[-3:-1] == (True, "/p/brief.md")
    assert read_options(["--resume"], {}).resumed


# providers and screens


def test_the_provider_starts_it_by_name() -> None:
    demo = provider("demo")
    assert demo.argv({"agent": "api"}) == ["taco", "demo-agent", "--name", "api"]
    resumed = demo.argv({"agent": "api", "brief_file": "/b"}, resume=True, yolo=True)
    assert resumed[-3:] == ["--resume", "/b", "--yolo"]
    assert demo.scripted
    assert demo.reads_screen


def test_the_shell_has_no_composer() -> None:
    shell = provider("shell")
    assert not shell.header
    assert not shell.evidence
    assert not shell.reads_screen


def reading(name: str) -> Reading:
    return read_screen(provider("demo").screen, (SCREENS / f"{name}.ansi").read_text("utf-8"))


LONG = "a long message that fills more than one row of the composer and goes on "

EXPECTED = {
    "idle-start": {"draft": "", "busy": False},
    "idle-history": {"draft": "", "busy": False},
    "idle-narrow": {"draft": "", "busy": False},
    "draft-typed": {"draft": "[mother → api]: hello ü 漢字", "busy": False},
    "draft-lines": {"draft": "[mother → api]: one\ntwo\n\n> four", "busy": False},
    "draft-placeholder": {"draft": "[Pasted text #1 +39 lines]", "placeholder": True},
    "busy-empty": {"draft": "", "busy": True},
    "busy-queued": {"draft": "not sent", "busy": True},
    "waiting-permission": {"composer_row": None, "waiting": "permission"},
    "exited-screen": {"composer_row": None, "exited": True},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_screens(name: str) -> None:
    seen = reading(name)
    wanted = {"waiting": "", "exited": False, "placeholder": False, "ghost": False, **EXPECTED[name]}
    assert {key: getattr(seen, key) for key in wanted} == wanted
    assert (seen.composer_row is None) == ("composer_row" in wanted)


def test_a_wrapped_draft_is_whole() -> None:
    assert "".join(reading("draft-wrapped").draft.split()) == "".join((LONG * 4).split())


def test_every_screen_is_tested() -> None:
    assert {path.stem for path in SCREENS.glob("*.ansi")} == {*EXPECTED, "draft-wrapped"}


def test_every_screen_says_it_is_scripted() -> None:
    for name in EXPECTED.keys() - {"exited-screen"}:
        assert any("scripted, not a model" in line for line in reading(name).lines), name
