"""From Mother's answer to a team: the spec is looked for, checked, reviewed, and made into agents."""

from __future__ import annotations

import json
from dataclasses import replace

from taco import brief, files
from taco.errors import SpecError, TacoError
from taco.message import squash
from taco.models import MOTHER, PERSON, Agent, AgentStatus, EventType, Spec, SpecStatus, from_iso, iso
from taco.orchestrator.desk import Desk
from taco.provider import replaced
from taco.schedule import summaries_for
from taco.spec import find_spec, mark, parse_spec

# The hash `spec`: text is what was proposed, json what is valid of it.
GIVEN = "--spec"  # the source of a plan that the session was started with


class Planning:
    """Follows the spec of one session from round to round; everything it knows is in Redis."""

    def __init__(self, desk: Desk) -> None:
        """Nothing is looked for by this."""
        self._desk = desk
        self._example = files.template("mother")
        self.waits = False  # a plan waits for the person
        self._looked_at: set[str] = set()  # specs
        self._read: dict[str, str] = {}  # what each source said last, and no spec was found in it that is news
        self._answers: list[str] = []  # taken from the hooks, not looked at yet

    async def step(self) -> bool:
        """Do what can be done now; whether there is a team now that was not there before."""
        if not self._desk.team:
            self._desk.team = await self._desk.broker.agents()
        fields = await self._desk.broker.spec_fields()
        if fields.get("status") == SpecStatus.SUBMITTED:
            await self._check(fields, fields.get("text", ""), fields.get("source", "submitted"))
            fields = await self._desk.broker.spec_fields()
        status = fields.get("status", "")
        self.waits = status == SpecStatus.REVIEW
        if status == SpecStatus.APPROVED and self._needs_review(fields, fields.get("mark", "")):
            await self._desk.broker.put_spec({"status": SpecStatus.REVIEW}, seen={"status": SpecStatus.APPROVED})
        elif status == SpecStatus.APPROVED:
            await self._build(fields)
            return True
        if status == SpecStatus.REJECTED and not fields.get("told"):
            await self._reject(fields)
        elif (
            status in ("", SpecStatus.WAITING, SpecStatus.INVALID, SpecStatus.REJECTED)
            and self._desk.mother is not None
        ):
            await self._look_for_answer(fields)
            await self._remind(fields)
        return False

    async def _look_for_answer(self, fields: dict[str, str]) -> None:
        """Mother's last answer: by her hooks or transcript, on her screen last."""
        observer = self._desk.observer
        if MOTHER not in observer.names():
            return
        self._answers += observer.take_answers(MOTHER)
        answers = [("hook", text) for text in self._answers]
        answers.append(("transcript", observer.last_answer(MOTHER)))
        if not any(text for _, text in answers):
            answers.append(("screen", observer.screen(MOTHER)))
        for source, text in answers:
            if text == self._read.get(source, ""):
                continue
            found = find_spec(text, example=self._example, marked_only=True)
            if found is not None:
                known = self._mark(found)
                is_news = known not in (*self._looked_at, fields.get("mark"), squash(fields.get("text", "")))
                if is_news:
                    await self._check(fields, found, source)
                self._looked_at.add(known)  # an old answer stays on the screen and in the transcript
                if is_news:
                    return
            self._read[source] = text
        self._answers = []

    def _mark(self, found: str) -> str:
        """What tells this proposal from others; of one that is no spec its words."""
        try:
            return mark(parse_spec(found, max_agents=self._desk.record.max_agents))
        except SpecError:
            return squash(found)

    def _needs_review(self, fields: dict[str, str], wanted: str) -> bool:
        """Whether the person has to see this very team first."""
        return bool(self._desk.record.more.get("review")) and fields.get("reviewed") != wanted

    async def _check(self, fields: dict[str, str], text: str, source: str) -> None:
        """Validate what was proposed; an invalid spec goes back to Mother with its errors."""
        desk = self._desk
        await desk.tell(EventType.SPEC_PROPOSED, f"a spec came from {source}", agent=MOTHER)
        try:
            spec = parse_spec(
                text,
                max_agents=desk.record.max_agents,
                example=self._example,
                providers=frozenset(desk.runnable_providers()),
            )
        except SpecError as error:
            await self._send_back(fields, text, source, error)
            return
        review = self._needs_review(fields, mark(spec))
        scripted = desk.record.more.get("scripted")
        not_applied = replaced(spec, by=desk.record.provider) if scripted else ""
        taken = await desk.broker.put_spec(
            {
                "status": SpecStatus.REVIEW if review else SpecStatus.APPROVED,
                "text": text,
                "json": json.dumps(spec.as_dict(), ensure_ascii=False),
                "mark": mark(spec),
                "warnings": json.dumps([*spec.warnings, *filter(None, [not_applied])], ensure_ascii=False),
                "errors": "",
                "source": source,
                "at": iso(desk.now()),
            },
            seen=_seen(fields),
        )
        if not taken:
            return  # another one was submitted meanwhile
        names = ", ".join(agent.name for agent in spec.agents)
        kind = EventType.SPEC_REVIEW if review else EventType.SPEC_APPROVED
        await desk.tell(kind, f"{len(spec.agents)} agents: {names}", data=spec.as_dict())

    async def _send_back(self, fields: dict[str, str], text: str, source: str, error: SpecError) -> None:
        desk = self._desk
        tries = int(fields.get("tries") or 0) + 1
        left = desk.config.spec_tries - tries
        content = f"the spec has {len(error.errors)} errors: {error.errors[0]}"
        await desk.tell(EventType.SPEC_INVALID, content, level="warning", data={"errors": error.errors})
        if left >= 0 and desk.mother is not None:
            values = brief.invalid_values(error.errors, tries_left=left)
            await desk.message(MOTHER, files.prompt("spec_invalid", values), key=f"invalid/{tries}")
        else:
            await self._tell_person(f"Mother's spec is still invalid after {tries} tries: see `taco spec show`")
        await desk.broker.put_spec(  # last: what was told is told once, what was not is told again
            {
                "status": SpecStatus.INVALID,
                "text": text,
                "errors": json.dumps(error.errors, ensure_ascii=False),
                "tries": str(tries),
                "source": source,
            },
            seen=_seen(fields),
        )

    async def _reject(self, fields: dict[str, str]) -> None:
        """The person said no: Mother hears why, and proposes again; how, if she was not asked to plan before."""
        reason = fields.get("reason") or "no reason was given"
        if self._desk.mother is not None:
            how = f"\n{mother_prompt(self._desk)}" if _is_persons(fields) else "Propose another spec, in the same form."
            text = f"The person rejects this plan: {reason}\n{how}"
            await self._desk.message(MOTHER, text, sender=PERSON, key=f"rejected/{fields.get('at', '')}/{reason}")
        await self._desk.broker.put_spec({"told": "1"})

    async def _remind(self, fields: dict[str, str]) -> None:
        """After `spec_timeout_s` without a spec the person is told, once; everything keeps running."""
        mother = self._desk.mother
        if fields.get("late") or mother is None or not mother.launched_at:
            return
        waited_s = self._desk.now() - from_iso(mother.launched_at)
        if waited_s > self._desk.config.spec_timeout_s:
            content = f"Mother has not proposed a team for {waited_s / 60:.0f} minutes: look at window 0"
            await self._desk.tell(EventType.SPEC_TIMEOUT, content, level="warning")
            await self._tell_person(content)
            await self._desk.broker.put_spec({"late": "1"})

    async def _tell_person(self, text: str) -> None:
        await self._desk.tell(EventType.PERSON_MESSAGE, text, agent=MOTHER, level="warning")

    async def _build(self, fields: dict[str, str]) -> None:
        """The approved spec becomes agents that are planned; they are started by the schedule."""
        desk = self._desk
        try:
            spec = parse_spec(fields.get("json", ""), max_agents=desk.record.max_agents)
        except SpecError as error:
            await self._send_back(fields, fields.get("text", ""), fields.get("source", ""), error)
            return
        known = {agent.name for agent in await desk.broker.agents()}
        for wanted, planned in zip(spec.agents, planned_agents(desk, spec), strict=True):
            if planned.name in known:
                continue
            await desk.broker.put_agent(planned)
            await desk.tell(EventType.AGENT_PLANNED, planned.role, agent=planned.name)
            if wanted.provider not in (None, planned.provider):
                warning = f"provider {wanted.provider!r} is not applied: this demo session runs {planned.provider}"
                await desk.tell(EventType.AGENT_STATE, warning, agent=planned.name, level="warning")
        desk.team = await desk.broker.agents()
        await self._coordinate()
        await desk.broker.put_spec({"status": SpecStatus.RUNNING})

    async def _coordinate(self) -> None:
        """Mother is told her team, and that she coordinates from now on."""
        mother = self._desk.mother
        if mother is not None and mother.pid:
            await self._desk.message(MOTHER, coordinate_prompt(self._desk), key="coordinate")


def _seen(fields: dict[str, str]) -> dict[str, str]:
    """What must not have changed of a spec that is being judged."""
    return {key: fields.get(key, "") for key in ("status", "text")}


def _is_persons(fields: dict[str, str]) -> bool:
    """Whether the plan came from the person, and not from Mother."""
    return fields.get("source") in (GIVEN, PERSON)


def planned_agents(desk: Desk, spec: Spec) -> list[Agent]:
    """The agents of a spec, not started yet; in a scripted session all of them are scripted."""
    scripted = bool(desk.record.more.get("scripted"))
    found = []
    for each in spec.agents:
        found.append(
            Agent(
                window=each.window,
                name=each.name,
                role=each.role,
                status=AgentStatus.PLANNED,
                provider=desk.record.provider if scripted else each.provider or desk.record.provider,
                model=each.model or desk.record.model,
                workspace=each.workspace or each.name,
                depends_on=each.depends_on,
                wait_for=each.wait_for,
                notifies=each.notifies,
                yolo=desk.record.yolo,
            )
        )
    return found


def mother_prompt(desk: Desk) -> str:
    """What Mother is launched with."""
    record = desk.record
    values = brief.mother_values(
        project_dir=str(record.project_dir), prompt=record.prompt, max_agents=record.max_agents
    )
    return files.prompt("mother", values)


def given_prompt(desk: Desk, spec: Spec) -> str:
    """What Mother is launched with while a plan that the person gave waits for the person's approval."""
    record = desk.record
    values = brief.coordinate_values(
        planned_agents(desk, spec), project_dir=str(record.project_dir), prompt=record.prompt
    )
    return files.prompt("given", values)


def coordinate_prompt(desk: Desk) -> str:
    """What Mother is told when her team stands."""
    values = brief.coordinate_values(desk.team, project_dir=str(desk.record.project_dir), prompt=desk.record.prompt)
    return files.prompt("coordinate", values)


async def _mothers_brief(desk: Desk) -> str:
    """What Mother is launched with: to coordinate her team, to wait with the person's own plan, or to plan."""
    if any(each.name != MOTHER for each in desk.team):
        return coordinate_prompt(desk)
    fields = await desk.broker.spec_fields()
    if _is_persons(fields) and fields.get("status") in (SpecStatus.REVIEW, SpecStatus.APPROVED):
        return given_prompt(desk, parse_spec(fields.get("json", ""), max_agents=desk.record.max_agents))
    return mother_prompt(desk)


async def brief_for(desk: Desk, agent: Agent) -> str:
    """What an agent is launched with; Mother's depends on whether there is a spec already. Raises TacoError."""
    if agent.name == MOTHER:
        return await _mothers_brief(desk)
    from_others = summaries_for(agent, desk.team)
    shown = replace(agent, workspace=str(desk.ground.workspace(agent)))
    team = [shown if each.name == agent.name else each for each in desk.team]
    values = brief.agent_values(
        shown, team, from_others, project_dir=str(desk.record.project_dir), prompt=desk.record.prompt
    )
    try:
        return files.prompt("agent", values)
    except OSError as error:
        raise TacoError(f"the prompt for agents cannot be read: {error}") from None
