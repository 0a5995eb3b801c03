"""The benchmarks' own arithmetic: ratios, targets, waits, tables, saved results and the picture. Nothing is timed."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import __main__ as runner
from tests.bench import bare, draw, publish, usage
from tests.bench.result import Result, in_turns, in_turns_async
from tests.bench.rig import waits_ms


@pytest.mark.parametrize(
    ("result", "ratio", "met"),
    [
        (Result("a", 230, peer=200, at_most=1.15), 1.15, True),
        (Result("a", 231, peer=200, at_most=1.15), 1.155, False),
        (Result("a", 92, peer=100, at_least=0.92), 0.92, True),
        (Result("a", 91, peer=100, at_least=0.92), 0.91, False),
        (Result("a", 4.9, at_most=5), None, True),
        (Result("a", 5.1, at_most=5), None, False),
        (Result("a", 5.1), None, None),
        (Result("a", 5.1, peer=0.0, at_most=5), None, False),
    ],
)
def test_a_target_is_a_limit_of_the_ratio_or_without_a_peer_of_the_value(
    result: Result, ratio: float | None, met: bool | None
) -> None:
    assert result.ratio == pytest.approx(ratio)
    assert result.met is met


def test_a_result_is_read_by_people() -> None:
    result = Result("a", 12_345, "a minute", 20_000, "ceiling", at_least=0.5, note="by hand")
    texts = (result.value_text, result.peer_text, result.ratio_text, result.target)
    assert texts == ("12,345 a minute (by hand)", "ceiling 20,000 a minute", "0.62", "≥ 0.5")


def test_work_takes_turns() -> None:
    calls: list[str] = []
    found = in_turns(3, lambda: calls.append("a"), lambda: calls.append("b"))
    assert "".join(calls) == "ababab"
    assert len(found) == 2


async def test_coroutines_take_turns() -> None:
    calls: list[str] = []

    async def note(name: str) -> None:
        calls.append(name)

    await in_turns_async(2, lambda: note("a"), lambda: note("b"))
    assert "".join(calls) == "abab"


def test_the_wait_is_between_the_first_piece_of_a_text_and_its_enter() -> None:
    reads = [(1.0, b"one"), (1.05, b" more"), (1.25, b"\r"), (2.0, b"two"), (2.2, b"\r")]
    assert waits_ms(reads) == pytest.approx([250, 200])


def test_an_enter_that_came_with_its_text_or_alone_waited_for_nothing() -> None:
    assert waits_ms([(1.0, b"one\r"), (2.0, b"\r")]) == [0.0, 0.0]


def test_the_table_marks_a_miss() -> None:
    rows = [Result("slow", 3, peer=1, at_most=2), Result("fast", 1, peer=1, at_most=2), Result("just so", 1)]
    written = io.StringIO()
    Console(file=written, width=120).print(runner.table(rows))
    lines = [line for line in written.getvalue().splitlines() if "│" in line]
    assert [("MISSED" in line, " ok " in line) for line in lines] == [(True, False), (False, True), (False, False)]


def test_results_are_saved_by_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results")
    path = runner.save({"send": [Result("a", 3, peer=1, at_most=2)], "idle": []}, quick=True)
    found = json.loads(path.read_text())
    assert found["quick"] is True
    assert {"python", "system", "cores", "tmux"} <= found["machine"].keys()
    assert found["results"]["idle"] == []
    assert {"what": "a", "value": 3, "ratio": 3.0, "met": False}.items() <= found["results"]["send"][0].items()


def test_every_benchmark_says_what_it_measures() -> None:
    for name in runner.names():
        module = runner.module(name)
        assert module.TITLE
        assert callable(module.run)


def test_a_benchmark_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        runner.main(["nonsense"])
    assert ended.value.code == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_missed_target_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = {"idle": [Result("a", 1, at_most=2), Result("b", 3, at_most=2)]}
    monkeypatch.setattr(runner, "measure", lambda name, *, quick: measured[name])
    assert runner.main(["idle"]) == 1
    measured["idle"] = measured["idle"][:1]
    assert runner.main(["idle"]) == 0


def test_what_is_due_rides_in_one_call_and_no_enter_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [100.0], list[tuple[float, list[str]]]()
    monkeypatch.setattr(bare.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(bare.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    loop = bare.BareLoop("nobody")
    monkeypatch.setattr(loop, "_run", lambda lines: calls.append((now[0], lines)))
    assert loop.deliver(["%1", "%2"], ["one", "two"]) == pytest.approx(0.4)
    assert [len(lines) for _, lines in calls] == [2, 2, 2, 2]
    assert [at for at, lines in calls if "Enter" in lines[0]] == pytest.approx([100.2, 100.4])


def test_processor_time_counts_what_children_took() -> None:
    before = usage.cpu_s(1) if Path("/proc/1/stat").exists() else pytest.skip("no /proc")
    assert before >= 0
    (call,) = usage.calls_in_turns(2, [["sh", "-c", "cat >/dev/null"]], input=b"text")
    assert call.wall_ms > 0
    assert call.cpu_ms >= 0


# The picture


def rows(*agents: int) -> list[dict[str, object]]:
    return [
        {"curve": panel.curve, "agents": count, "value": 10.0 * count, "peer": 300.0, "peer_name": "a <floor>"}
        for panel in draw.PANELS
        for count in agents
    ]


def test_the_picture_holds_every_curve_and_is_well_formed() -> None:
    svg = ET.fromstring(draw.draw([*rows(200, 1, 50), {"what": "no curve"}]))
    name = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f".//{name}circle")) == 3 * len(draw.PANELS)
    texts = [each.text for each in svg.iter(f"{name}text")]
    assert texts.count("a <floor>") == len(draw.PANELS)
    assert [texts.count(count) for count in ("1", "50")] == [len(draw.PANELS)] * 2


def test_a_missing_curve_is_said() -> None:
    with pytest.raises(ValueError, match="throughput"):
        draw.draw([row for row in rows(1, 10) if row["curve"] != "throughput"])


@pytest.mark.parametrize("most", [0.0, 0.03, 1.0, 1.9, 97.0, 100.0, 60_000.0])
def test_ticks_are_round_and_reach_the_highest_value(most: float) -> None:
    found = draw.ticks(most)
    assert found[0] == 0
    assert found[-1] >= most
    assert found[-1] <= max(most * 2.5, 4)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (3, "3"), (117.4, "117"), (9_999, "9,999"), (48_123, "48k")]
)
def test_numbers_on_an_axis_are_short(value: float, text: str) -> None:
    assert draw.number(value) == text


# The numbers in the README


def test_what_is_published_is_what_was_saved() -> None:
    readme = publish.README.read_text(encoding="utf-8")
    assert readme == publish.written(readme, publish.section(publish.latest())), "run: python -m tests.bench.publish"


def test_only_whole_runs_are_published_and_a_miss_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "RESULTS", tmp_path)
    monkeypatch.setattr(draw, "RESULTS", tmp_path)
    rows = [Result("a | b", 3, peer=1, peer_name="floor", at_most=2), Result("no target", 1)]
    path = runner.save({"parse": rows}, quick=False)
    path.rename(tmp_path / "2026-01-01.json")
    runner.save({"parse": [Result("quick", 1, at_most=2)]}, quick=True)
    table = publish.section(publish.latest()).splitlines()[2:]
    assert table[0] == "| parse: a \\| b | 3 ms | floor 1 ms | 3.00 | ≤ 2 (missed) |"
    assert table[1] == ""
    assert table[2].startswith("Measured on 20")


def test_a_readme_without_a_place_for_them_is_an_error() -> None:
    with pytest.raises(ValueError, match="no place for the numbers"):
        publish.written("# TACO\n", "| what |")
