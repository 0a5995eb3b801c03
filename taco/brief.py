"""What stands in the prompts: the values of their placeholders, from the team. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taco.models import FIRST_AGENT_WINDOW, Agent, AgentStatus

_ROLE_IN_TEAM = 200  # characters of a teammate's role
_RESULT_IN_BRIEF = 4_000  # characters of a teammate's result


def mother_values(*, project_dir: str, prompt: str, max_agents: int) -> dict[str, str]:
    """For `mother.md`."""
    return {"project_dir": project_dir, "prompt": prompt.strip(), "max_agents": str(max_agents)}


def invalid_values(errors: Sequence[str], *, tries_left: int) -> dict[str, str]:
    """For `spec_invalid.md`: the errors of a SpecError, exactly."""
    return {"errors": "\n".join(f"- {error}" for error in errors), "tries_left": str(tries_left)}


def given_values(agents: Sequence[Agent], *, project_dir: str, prompt: str) -> dict[str, str]:
    """For `given.md`, with the agents as they are planned."""
    return {"project_dir": project_dir, "prompt": prompt.strip(), "team": team_lines(agents)}


def coordinate_values(
    agents: Sequence[Agent], *, project_dir: str, prompt: str, tools: Sequence[str] = ()
) -> dict[str, str]:
    """For `coordinate.md`; `tools`: what the verbs are called where Mother has them as tools."""
    return given_values(agents, project_dir=project_dir, prompt=prompt) | {"tools": _tools(tools)}


def _tools(names: Sequence[str]) -> str:
    """How the same is done without a shell; "" where there are no tools."""
    listed = ", ".join(f"`{name}`" for name in names)
    return f", or use the tools of the MCP server `taco` ({listed}), which do the same without it" if names else ""


def agent_values(
    agent: Agent,
    agents: Sequence[Agent],
    results: Mapping[str, str],
    *,
    project_dir: str,
    prompt: str,
    tools: Sequence[str] = (),
) -> dict[str, str]:
    """For `agent.md`; `results` are name -> summary of those it needs that are done (`summaries_for`).

    `tools`: what the verbs are called where the agent has them as tools.
    """
    return {
        "tools": _tools(tools),
        "name": agent.name,
        "role": agent.role,
        "prompt": prompt.strip(),
        "project_dir": project_dir,
        "workspace": agent.workspace,
        "team": team_lines(agents, you=agent.name),
        "waiting": ", ".join(_waiting_for(agent, agents)) or "nobody",
        "results": _results(agent, agents, results),
    }


def resumed_values(unsent: Sequence[str]) -> dict[str, str]:
    """For `resumed.md`: the messages as they were typed."""
    return {"messages": "\n\n".join(["", *unsent]) if unsent else "none"}


def lost_values(agent: Agent, messages: Sequence[str]) -> dict[str, str]:
    """For `lost.md`: `messages` as lines, oldest first, and what the agent had reported."""
    if agent.failed:
        report = f"You had reported that you failed: {agent.failed}"
    elif agent.done:
        report = f"You had reported that you are done: {agent.done}"
    else:
        report = "You had not reported yet: go on until you can."
    return {"messages": "\n".join(f"- {line}" for line in messages) or "none", "report": report}


def team_lines(agents: Sequence[Agent], *, you: str = "") -> str:
    """One line for each agent: name, window, role, whom it waits for, needs and tells; Mother left out."""
    ours = sorted(_ours(agents), key=lambda agent: agent.window)
    return "\n".join(_line(agent, agent.name == you) for agent in ours) or "- nobody yet"


def _ours(agents: Sequence[Agent]) -> list[Agent]:
    return [agent for agent in agents if agent.window >= FIRST_AGENT_WINDOW]


def _line(agent: Agent, is_you: bool) -> str:
    role = "you" if is_you else agent.role
    short = role if len(role) <= _ROLE_IN_TEAM else f"{role[:_ROLE_IN_TEAM].rstrip()}…"
    needs = [name for name in agent.depends_on if name not in agent.wait_for]
    ends = (
        f"starts after {', '.join(agent.wait_for)}" if agent.wait_for else "",
        f"gets results of {', '.join(needs)}" if needs else "",
        f"tells {', '.join(agent.notifies)}" if agent.notifies else "",
        f"is {agent.status}" if agent.status in (AgentStatus.DONE, AgentStatus.FAILED) else "",
    )
    more = "; ".join(filter(None, ends))
    return f"- {agent.name} (window {agent.window}): {short}" + (f" [{more}]" if more else "")


def _waiting_for(agent: Agent, agents: Sequence[Agent]) -> list[str]:
    """Those who cannot start without it, need its result, or are told."""
    needing = [each.name for each in _ours(agents) if agent.name in (*each.wait_for, *each.depends_on)]
    return list(dict.fromkeys((*needing, *agent.notifies)))


def _results(agent: Agent, agents: Sequence[Agent], results: Mapping[str, str]) -> str:
    by_name = {each.name: each for each in agents}
    needed = dict.fromkeys((*agent.wait_for, *agent.depends_on))
    lines = [f"- {name}: {_result(by_name.get(name), results.get(name))}" for name in needed]
    return "\n".join(lines) or "You need nobody's results to begin."


def _result(other: Agent | None, summary: str | None) -> str:
    if summary is not None:
        return _cut(summary) or "is done, without a summary"
    if other is None:
        return "is no longer in the team. Ask mother what to do without its result."
    if other.status is AgentStatus.FAILED:
        return f"failed: {_cut(other.failed) or 'no reason given'}. Ask mother what to do without its result."
    return "not done yet. Begin without it; its result will come as a message."


def _cut(text: str) -> str:
    """A result as far as a brief has room for it."""
    if len(text) <= _RESULT_IN_BRIEF:
        return text
    return f"{text[:_RESULT_IN_BRIEF].rstrip()}… (cut: ask them for the rest with taco send; see also taco inbox)"
