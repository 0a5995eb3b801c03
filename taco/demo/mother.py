"""The demo agent as Mother: a team for a prompt by keywords, and what it says when the team works."""

from __future__ import annotations

import json
import re
from typing import Any

from taco.demo.brief import Message, listed, request_of, shorten
from taco.demo.script import Actions, Steps, reported, session, taco

START, END = "AGENT_SPEC_JSON_START", "AGENT_SPEC_JSON_END"
MAX_BUILDERS = 4
ROLE_REQUEST = 300  # characters of the request in a role

# keyword in the prompt -> name and work of the agent that builds it
_PARTS: tuple[tuple[str, str, str], ...] = (
    (r"apis?|rest|endpoints?", "api", "builds the API"),
    (r"backends?|servers?|services?", "backend", "builds the server side"),
    (r"databases?|db|sql", "database", "builds the data model"),
    (r"web|websites?|sites?|pages?", "web", "builds the web pages"),
    (r"frontends?|ui|interface", "frontend", "builds the user interface"),
    (r"cli|command[- ]line|tools?|scripts?", "cli", "builds the command line tool"),
    (r"docs?|documentation|readme", "docs", "writes the documentation"),
)


# how a text of TACO begins (prompts/coordinate.md, prompts/given.md) -> her answer
_ANSWERS = (
    ("your spec is accepted", "The spec is accepted. I watch the team, and sum up when everybody has reported."),
    ("the person has given the plan", "You gave the plan: it waits for your approval. I coordinate once it runs."),
)


def design(request: str) -> dict[str, Any]:
    """A spec for a request: up to four builders by keyword, and one who checks their work."""
    words = request.lower()
    parts = [(name, work) for pattern, name, work in _PARTS if re.search(rf"\b(?:{pattern})\b", words)]
    builders = parts[:MAX_BUILDERS] or [("builder", "builds what was asked for")]
    checker = "tester" if re.search(r"\btests?\b|\btesting\b", words) else "validator"
    names = [name for name, _ in builders]
    asked = shorten(" ".join(request.split()), columns=ROLE_REQUEST)
    agents = [_agent(3 + at, name, f"{work}: {asked}.") for at, (name, work) in enumerate(builders)]
    for agent in agents:
        agent["notifies"] = [checker]
    last = _agent(3 + len(agents), checker, f"checks the work of {listed(names)} and runs the tests")
    return {"agents": [*agents, {**last, "wait_for": names}]}


def _agent(window: int, name: str, role: str) -> dict[str, Any]:
    return {"window": window, "name": name, "role": role, "workspace": name}


def spec_text(spec: dict[str, Any]) -> str:
    """A spec as Mother prints it."""
    return f"{START}\n```json\n{json.dumps(spec, indent=2, ensure_ascii=False)}\n```\n{END}\n"


def plan(act: Actions, prompt: str) -> Steps:
    """Think, show the spec, submit it."""
    act.say("I read the request and look which parts it has.")
    yield act.pause(1.0)
    spec = design(request_of(prompt))
    names = [agent["name"] for agent in spec["agents"]]
    act.say(f"A team of {len(names)} will do: {listed(names)}. This is the spec:")
    text = spec_text(spec)
    act.code(text)
    yield act.pause(0.5)
    code, _ = yield from taco(act, "spec", "submit", "-", text=text)
    if code == 0:
        act.say("The spec is submitted.")


def begin(act: Actions, prompt: str) -> Steps:
    """The first turn: the plan; where there is one already she says that she coordinates, and no more."""
    told = _told(prompt)
    if told:
        yield act.pause(0.3)
        act.say(told)
    else:
        yield from plan(act, prompt)


def _told(text: str) -> str:
    """What Mother says to TACO's own text on a plan that there is; "" to every other text."""
    words = text.lstrip().lower()
    return next((said for sign, said in _ANSWERS if words.startswith(sign)), "")


def hear(act: Actions, message: Message) -> Steps:
    """A message to Mother: acknowledged on the screen only, so that no two agents talk for ever."""
    yield act.pause(0.3)
    words = message.body.lower()
    if told := _told(message.body):
        act.say(told)
    elif "your spec cannot be used" in words:
        act.say("The spec was not accepted. I am scripted and cannot correct it: a person has to.")
    else:
        act.say(f"Noted, {message.sender or 'thank you'}.")
    if not act.finished and re.search(r"\b(done|finished|failed|reports?|reported)\b", words):
        yield from summarise(act)


def summarise(act: Actions) -> Steps:
    """When every agent has reported, say so once."""
    team = (yield from session(act)).others()
    if not team or not all(map(reported, team)):
        return
    act.finished = True
    lines = [f"- {agent['name']}: {reported(agent)}" for agent in team]
    act.say("Every agent has reported. Summary:\n" + "\n".join(lines))


def go_on(act: Actions, prompt: str) -> Steps:
    """The first turn of a resumed run: that of any run, unless there is a team already."""
    team = (yield from session(act)).others()
    if not team:
        yield from begin(act, prompt)
    else:
        act.say(f"My team is there: {listed([agent['name'] for agent in team])}. I watch it.")
