"""The figures of one run, for people and as rows of the benchmark."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from tests.bench.chaos.comparison import Verdict
from tests.bench.chaos.faults import Tally
from tests.bench.chaos.stages import Stage
from tests.bench.result import Result

STAGE_SHARE = 0.05  # each stage must have at least this share of all kills


@dataclass(frozen=True)
class Report:
    """What one run did and found."""

    seed: int
    agents: int
    took_s: float
    verdict: Verdict
    tally: Tally
    refused: dict[str, int]
    abandoned: int
    trouble: str = ""  # why the run could not be finished

    @property
    def thin_stages(self) -> list[str]:
        """The stages that were hit too rarely for the run to prove anything."""
        return [str(stage) for stage in Stage if self.tally.stages[str(stage)] < STAGE_SHARE * self.tally.kills]

    @property
    def failures(self) -> list[str]:
        """Why the run is red; empty when it is green."""
        found = [f"{count} {name}" for name, count in self.verdict.zeros.items() if count]
        if not self.verdict.adds_up:
            found.append("the states do not add up to what was acknowledged")
        found += [f"too few kills {stage}" for stage in self.thin_stages]
        return found + ([self.trouble] if self.trouble else [])

    def results(self) -> list[Result]:
        """The rows of the benchmark."""
        verdict, tally = self.verdict, self.tally
        rows = [
            Result("acknowledged", verdict.acknowledged, "messages", note=f"{self.agents} agents, seed {self.seed}"),
            *(
                Result(f"  {state}", count, "messages", note=_split(verdict, state))
                for state, count in _states(verdict)
            ),
            *(Result(name, count, "messages", at_most=0) for name, count in verdict.zeros.items()),
            Result("states that do not add up", float(not verdict.adds_up), "", at_most=0),
        ]
        for stage in Stage:
            share = tally.stages[str(stage)] / tally.kills if tally.kills else 0.0
            note = f"{tally.stages[str(stage)]} of {tally.kills}; {tally.struck[str(stage)]} commands struck there"
            rows.append(Result(f"kills {stage}", share, "of all", at_least=STAGE_SHARE, note=note))
        rows += [Result(f"fault: {kind}", count, "times") for kind, count in sorted(tally.faults.items())]
        if tally.back_s:
            median, worst = statistics.median(tally.back_s), max(tally.back_s)
            rows.append(Result("back at work after", median, "s", note=f"worst {worst:.1f} s"))
        rows.append(Result("whole run", self.took_s, "s", note=self.trouble))
        return rows

    def text(self) -> str:
        """Everything, for people."""
        verdict, tally = self.verdict, self.tally
        states = ", ".join(f"{state} {count:,}" for state, count in _states(verdict))
        lines = [
            f"seed {self.seed}, {self.agents} agents, {self.took_s:.0f} s",
            f"acknowledged {verdict.acknowledged:,} = {states}" + ("" if verdict.adds_up else "   DOES NOT ADD UP"),
            f"evidence: {dict(verdict.evidence)}; unconfirmed that arrived: {verdict.unconfirmed_arrived}; "
            f"submitted {verdict.submitted:,}, abandoned drafts {self.abandoned}",
            "must be 0: " + ", ".join(f"{name} {count}" for name, count in verdict.zeros.items()),
            f"faults: {dict(tally.faults)}" + (f", skipped: {tally.skipped}" if tally.skipped else ""),
            f"kills by stage: {dict(tally.stages)}; commands struck: {dict(tally.struck)}",
            f"senders were refused and tried again: {self.refused}",
        ]
        if tally.back_s:
            lines.append(f"back at work after {statistics.median(tally.back_s):.2f} s, worst {max(tally.back_s):.1f} s")
        lines += [f"  {count} {reason}" for reason, count in verdict.reasons.most_common(8)]
        for name in ("lost", "doubled", "reordered", "garbled"):
            lines += [f"  {name}: {example}" for example in getattr(verdict, name)[:10]]
        lines += [f"RED: {each}" for each in self.failures]
        return "\n".join(lines)


def _states(verdict: Verdict) -> list[tuple[str, int]]:
    always = dict.fromkeys(("delivered", "unconfirmed", "dead", "queued"), 0)
    return list((always | dict(verdict.states)).items())


def _split(verdict: Verdict, state: str) -> str:
    if state == "unconfirmed" and verdict.states[state]:
        return f"{verdict.unconfirmed_arrived} of them arrived"
    return ", ".join(f"{name} {count}" for name, count in verdict.evidence.items()) if state == "delivered" else ""
