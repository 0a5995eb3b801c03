"""An example or two for the help of every command."""

from __future__ import annotations

import click

EXAMPLES = {
    "start": ('start "build an api and a web page for it"', "start --session shop --dir ~/shop --review -d -"),
    "attach": ("attach shop",),
    "stop": ("stop shop", "stop --all --grace 2", "stop shop --forget"),
    "resume": ("resume shop", "resume shop -d --env", "resume --now"),
    "answer": ('answer "yes, in euros"', "answer k3x9a1 2"),
    "approve": ("approve", "approve k3x9a1", "approve plan"),
    "deny": ('deny k3x9a1 "not on a Friday"', 'deny plan "one agent is enough"'),
    "spec": ("spec show",),
    "spec approve": ("spec approve",),
    "spec check": ("spec check team.json", "spec check - --json"),
    "spec edit": ("spec edit",),
    "spec reject": ('spec reject "one agent is enough"',),
    "spec schema": ("spec schema",),
    "spec show": ("spec show", "spec show --json"),
    "spec submit": ("spec submit team.json",),
    "agent": ("agent list",),
    "agent add": ('agent add tester --role "tests the api" --wait-for api',),
    "agent capture": ("agent capture api", "agent capture api --ansi --lines 200"),
    "agent list": ("agent list --json",),
    "agent pause": ("agent pause api web",),
    "agent remove": ("agent remove tester",),
    "agent restart": ("agent restart api",),
    "agent resume": ("agent resume all",),
    "agent show": ("agent show api",),
    "queue": ("queue",),
    "queue cancel": ("queue cancel m1a2b3c4",),
    "queue dead": ("queue dead",),
    "queue drop": ("queue drop m1a2b3c4",),
    "queue list": ("queue list --json",),
    "queue retry": ("queue retry m1a2b3c4",),
    "queue show": ("queue show m1a2b3c4",),
    "send": ('send api "use port 3001" --wait 30', "send mother --file plan.md --priority high"),
    "broadcast": ('broadcast "commit before noon"',),
    "ask": ('ask "Which database?" --choices "Postgres,SQLite"',),
    "inbox": ("inbox", "inbox --json"),
    "done": ('done "the api stands: make test"',),
    "fail": ('fail "no network here; I tried a mirror"',),
    "service": ("service list",),
    "service unregister": ("service unregister api",),
    "service list": ("service list --json",),
    "service register": ("service register api --port auto", "service register web --url http://localhost:3000"),
    "service url": ("service url api",),
    "service wait": ("service wait api --timeout 60",),
    "status": ("status", "status --json"),
    "ls": ("ls",),
    "monitor": ("monitor --session shop", "monitor --plain"),
    "log": ("log -f", "log api --level warning"),
    "config": ("config", "config max_agents", "config edit"),
    "provider": ("provider list",),
    "provider capture": ("provider capture mytui idle --pane %5",),
    "provider check": ("provider check claude", "provider check ~/.config/taco/providers/mytui.toml"),
    "provider classify": (
        "provider classify claude screen.ansi",
        "tmux capture-pane -p -e -t %5 | taco provider classify claude -",
    ),
    "provider list": ("provider list",),
    "provider show": ("provider show claude",),
    "provider trust": ("provider trust .", "provider trust . --remove"),
    "doctor": ("doctor --fix", "doctor --report"),
    "uninstall": ("uninstall", "uninstall --yes --keep-config"),
    "completion": ('eval "$(taco completion bash)"',),
    "executor": ("executor --restart",),
}


def with_examples(command: click.Command, path: str) -> click.Command:
    """The command whose help ends with its examples; `path` is how it is called, without `taco`."""
    lines = [each if "taco " in each else f"taco {each}" for each in EXAMPLES.get(path, ())]
    if lines:
        command.epilog = "\n".join(
            ["\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {each}" for each in lines)]
        )
    return command
