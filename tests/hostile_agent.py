"""A stand-in for an agent CLI that does everything wrong that real ones do; run by path, standard library only.

Each option is also read from the environment: `--fast-enter-ms 80` is `HOSTILE_FAST_ENTER_MS=80`. All that happens is
logged as JSON lines: {"t": epoch s, "mono": s, "event", "text", …}; text that is not UTF-8 also as base64.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import heapq
import itertools
import json
import os
import random
import re
import select
import signal
import struct
import sys
import termios
import time
import tty
import unicodedata
from collections.abc import Callable
from pathlib import Path

BEGIN, END = b"\x1b[200~", b"\x1b[201~"
SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[ -~])")
UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
PLAIN = re.compile(rb"[^\x00-\x1f\x7f]+")
CONTROL = {0x03: "ctrl-c", 0x0A: "newline", 0x0D: "enter", 0x15: "ctrl-u", 0x08: "backspace", 0x7F: "backspace"}
QUIET_S = 0.06  # after the last byte of a text: under the shortest wait between text and Enter
ESCAPE_S = 0.03
DIM, PLAIN_STYLE = "\x1b[2m", "\x1b[0m"
EXITED = "hostile agent ended."


def span(text: str) -> tuple[float, float]:
    """`0.5` or `0.1:2` as the ends of a range."""
    low, _, high = text.partition(":")
    return float(low), float(high or low)


def numbers(text: str) -> set[int]:
    """`3,7` as a set."""
    return {int(each) for each in text.split(",") if each}


# name, type, default, help
OPTIONS: tuple[tuple[str, Callable[[str], object], object, str], ...] = (
    ("name", str, "", "for the log"),
    ("log", str, "", "file of JSON lines, appended to"),
    ("seed", int, 0, "of all that is random"),
    ("start-s", float, 0.0, "before the composer is drawn"),
    ("deaf-s", float, 0.0, "input that comes this long after the composer was drawn is lost"),
    ("swallow", float, 0.0, "share of Enters that are ignored"),
    ("swallow-at", numbers, frozenset(), "numbers of messages (from 1) of which every Enter is ignored"),
    ("swallow-most", int, 0, "of them in a row at most; 0: no limit"),
    ("fast-enter-ms", float, 0.0, "an Enter this soon after text is a line break"),
    ("paste-lag-ms", span, (0.0, 0.0), "pasted text comes into the composer late"),
    ("draw-lag-ms", span, (0.0, 0.0), "what has changed shows late"),
    ("submit-lag-ms", span, (0.0, 0.0), "the text stays in the composer after Enter"),
    ("slow", span, (0.0, 0.0), "BYTES:MS: reads so many bytes, then not for so long"),
    ("busy-s", span, (0.0, 0.0), "works this long on each message"),
    ("when-busy", str, "queue", "queue | ignore: Enter while it works"),
    ("dialog-at", numbers, frozenset(), "numbers of messages (from 1) with a permission dialog"),
    ("dialog-p", float, 0.0, "share of messages with a permission dialog"),
    ("dialog-when", str, "submit", "submit | text: after the message, or between its text and its Enter"),
    ("dialog-asks", str, "make install", "what the tool would run; {n} is the number of the message"),
    ("dialog-s", float, 0.0, "it goes away by itself after this time (a person said no); 0: it stays"),
    ("die-at", numbers, frozenset(), "numbers of messages (from 1) at which it exits"),
    ("die-when", str, "text", "text | enter | submit: between text and Enter, instead of, or after the submission"),
    ("die-code", int, 1, "exit code then"),
    (
        "history",
        str,
        "marked",
        "none | marked | same: submitted text is shown not, as `» …`, or just like the composer",
    ),
    ("ghost", str, "", "dim suggestion in the empty composer"),
    ("redraw-ms", float, 0.0, "erases and draws all again this often"),
)
FLAGS = (
    ("collapse", "pastes over 2 lines or 800 characters show as a placeholder"),
    ("vim", "Escape leads to a normal mode in which letters are commands; i leads back"),
    ("dialog-deaf", "no key answers a dialog"),
    ("put-back", "an interrupt puts the last prompt back into the composer"),
)


def read_options(argv: list[str]) -> argparse.Namespace:
    """Options of the arguments, else of the environment."""
    parser = argparse.ArgumentParser("hostile_agent.py", description=__doc__)
    for name, kind, default, text in OPTIONS:
        given = os.environ.get(f"HOSTILE_{name.upper().replace('-', '_')}")
        parser.add_argument(f"--{name}", type=kind, default=default if given is None else given, help=text)
    for name, text in FLAGS:
        given = os.environ.get(f"HOSTILE_{name.upper().replace('-', '_')}", "")
        parser.add_argument(f"--{name}", action="store_true", default=bool(given), help=text)
    parser.add_argument("prompt", nargs="*", help="a first message")
    return parser.parse_args(argv)


class Keys:
    """Bytes into (name, text) pairs."""

    def __init__(self) -> None:
        self.held = b""
        self.pasting = False

    @property
    def waiting(self) -> bool:
        """Whether an ESC is held that may be the key itself."""
        return self.held.startswith(b"\x1b") and not self.pasting

    def flush(self) -> list[tuple[str, str]]:
        """The Escape key, when nothing followed its byte."""
        held, self.held = self.held, b""
        return [("escape", ""), *self.feed(held[1:])]

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """The keys that are complete now."""
        self.held += data
        found: list[tuple[str, str]] = []
        while self.held:
            if self.pasting:
                at = self.held.find(END)
                if at < 0:
                    break
                found.append(("paste", self.held[:at].decode("utf-8", "surrogateescape").replace("\r", "\n")))
                self.held, self.pasting = self.held[at + len(END) :], False
            elif self.held.startswith(BEGIN):
                self.held, self.pasting = self.held[len(BEGIN) :], True
            elif self.held[0] == 0x1B:
                if UNFINISHED.match(self.held):
                    break
                match = SEQUENCE.match(self.held)
                if match is None:
                    found.append(("escape", ""))
                self.held = self.held[match.end() if match else 1 :]
            elif match := PLAIN.match(self.held):
                text = match[0]
                if match.end() == len(self.held):
                    text = text[: len(text) - _cut_character(text)]
                if not text:
                    break
                found.append(("text", text.decode("utf-8", "surrogateescape")))
                self.held = self.held[len(text) :]
            else:
                found.append((CONTROL.get(self.held[0], ""), ""))
                self.held = self.held[1:]
        return [key for key in found if key[0]]


def _cut_character(text: bytes) -> int:
    """How many bytes at the end begin a character that is not complete."""
    for back in range(1, min(4, len(text)) + 1):
        byte = text[-back]
        if byte >= 0xC0:
            return back if back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) else 0
        if byte < 0x80:
            return 0
    return 0


def cells(char: str) -> int:
    """Columns a character takes."""
    if unicodedata.category(char) in {"Mn", "Me", "Cf", "Cc", "Cs"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def wrapped(text: str, room: int) -> list[str]:
    """Text as rows of at most `room` columns."""
    rows = []
    for line in text.split("\n"):
        rows.append("")
        used = 0
        for char in line:
            if used + cells(char) > room:
                rows.append("")
                used = 0
            rows[-1] += char if unicodedata.category(char) not in {"Cc", "Cs"} else "\ufffd"
            used += cells(char)
    return rows


class Hostile:
    """One run of the program."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        # One for each use, so that what is swallowed does not depend on how often something else was drawn.
        self.enters, self.times = (random.Random(f"{options.seed}/{use}") for use in ("enter", "time"))
        self.keys = Keys()
        self.draft: list[tuple[str, str]] = []  # (what is submitted, what is shown)
        self.pastes = self.submitted = self.row = self.in_a_row = 0
        self.told: list[str] = []  # history that is not drawn yet
        self.busy_until = self.text_at = self.deaf_until = 0.0  # monotonic seconds, as all times here
        self.resting_until = self.drawing_held_until = 0.0
        self.dialog = self.normal = self.dirty = False
        self.armed: set[int] = set()  # messages whose dialog or death in mid-message has been arranged
        self.last = ""
        self.exit: int | None = None
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.size = (0, 0)

    # time

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), action))

    def some(self, range_: tuple[float, float], scale: float = 1.0) -> float:
        return self.times.uniform(*range_) * scale

    def run(self, wake: int) -> int:
        """Serve until the end."""
        self.log("start", pid=os.getpid())
        self.later(self.options.start_s, self.open)
        while self.exit is None:
            self.run_timers()
            self.draw_soon()
            if self.exit is None:
                self.listen(wake)
        self.log("exit", code=self.exit)
        write(f"{self.up()}\r\x1b[J{EXITED}\r\n")
        return self.exit

    def open(self) -> None:
        self.deaf_until = time.monotonic() + self.options.deaf_s
        self.draw()
        if self.options.prompt:
            self.submit(" ".join(self.options.prompt), "argument")
        if self.options.redraw_ms:
            self.later(self.options.redraw_ms / 1_000, self.flicker)

    def flicker(self) -> None:
        write(f"{self.up()}\r\x1b[J")  # a write of its own: a reader may look in between
        self.row = 0
        self.draw()
        self.later(self.options.redraw_ms / 1_000, self.flicker)

    def run_timers(self) -> None:
        while self.timers and self.timers[0][0] <= time.monotonic() and self.exit is None:
            heapq.heappop(self.timers)[2]()

    def listen(self, wake: int) -> None:
        limits = [max(self.timers[0][0] - time.monotonic(), 0.0)] if self.timers else []
        if self.keys.waiting:
            limits.append(ESCAPE_S)
        resting = time.monotonic() < self.resting_until
        if resting:
            limits.append(self.resting_until - time.monotonic())
        ready = select.select([wake] if resting else [wake, 0], [], [], min(limits, default=None))[0]
        if wake in ready:
            caught = os.read(wake, 512)
            self.dirty = True
            if signal.SIGTERM in caught or signal.SIGHUP in caught:
                self.exit = 143
        if 0 in ready:
            self.read()
        elif not ready and self.keys.waiting:
            self.take(self.keys.flush())

    def read(self) -> None:
        most, rest_ms = self.options.slow
        try:
            data = os.read(0, int(most) or 65_536)
        except OSError:
            data = b""
        if not data:
            self.exit = 129
        elif time.monotonic() < self.deaf_until or not self.size[0]:
            self.log("deaf", data.decode("utf-8", "surrogateescape"))
        else:
            if most:
                self.resting_until = time.monotonic() + rest_ms / 1_000
            self.take(self.keys.feed(data))

    # keys

    def take(self, keys: list[tuple[str, str]]) -> None:
        for name, text in keys:
            if self.exit is not None:
                return
            self.dirty = True
            if self.dialog:
                self.in_dialog(name, text)
            elif name == "paste" and any(self.options.paste_lag_ms):
                self.later(self.some(self.options.paste_lag_ms, 0.001), lambda text=text: self.paste(text))
            else:
                self.press(name, text)

    def press(self, name: str, text: str) -> None:
        if self.normal:
            self.normal = not text.startswith("i")
            self.log("command", text or name)
        elif name == "text":
            self.arrived([(char, char) for char in text])
        elif name == "paste":
            self.paste(text)
        elif name == "newline":
            self.arrived([("\n", "\n")])
        elif name == "enter":
            self.enter()
        elif name == "backspace":
            del self.draft[-1:]
        elif name == "ctrl-u":
            self.draft.clear()
        elif name == "ctrl-c":
            self.exit = None if self.draft else 130
            self.draft.clear()
        elif name == "escape":
            self.escape()

    def paste(self, text: str) -> None:
        self.dirty = True
        if self.dialog:
            self.in_dialog("paste", text)
        elif self.options.collapse and (text.count("\n") > 1 or len(text) > 800):
            self.pastes += 1
            self.log("collapsed", text)
            self.arrived([(text, f"[Pasted text #{self.pastes} +{text.count(chr(10))} lines]")])
        else:
            self.arrived([(char, char) for char in text])

    def arrived(self, units: list[tuple[str, str]]) -> None:
        self.draft += units
        self.text_at = time.monotonic()
        number = self.submitted + 1
        dies = number in self.options.die_at and self.options.die_when == "text"
        asks = self.options.dialog_when == "text" and self.has_dialog(number)
        if (dies or asks) and number not in self.armed:
            self.armed.add(number)
            self.when_quiet(self.die if dies else self.ask)

    def when_quiet(self, action: Callable[[], None]) -> None:
        left = self.text_at + QUIET_S - time.monotonic()
        self.later(left, lambda: self.when_quiet(action)) if left > 0 else action()

    def has_dialog(self, number: int) -> bool:
        chance = random.Random(f"{self.options.seed}/dialog/{number}").random()  # the same however often it is asked
        return number in self.options.dialog_at or chance < self.options.dialog_p

    def die(self) -> None:
        self.exit = self.options.die_code

    def escape(self) -> None:
        if self.options.vim:
            self.normal = True
        if time.monotonic() < self.busy_until:
            self.busy_until = 0.0
            self.log("interrupted", self.last)
            if self.options.put_back and not self.draft:
                self.draft = [(char, char) for char in self.last]

    def enter(self) -> None:
        text = "".join(unit[0] for unit in self.draft)
        if not text.strip():
            self.log("blank")
        elif (time.monotonic() - self.text_at) * 1_000 < self.options.fast_enter_ms:
            self.log("newline", text)
            self.draft.append(("\n", "\n"))
        elif self.swallows():
            self.in_a_row += 1
            self.log("swallowed", text)
        elif time.monotonic() < self.busy_until and self.options.when_busy == "ignore":
            self.log("ignored", text)
        elif self.submitted + 1 in self.options.die_at and self.options.die_when == "enter":
            self.die()
        else:
            self.submit(text, "enter")

    def swallows(self) -> bool:
        chance = self.enters.random()
        if self.submitted + 1 in self.options.swallow_at:
            return True
        return chance < self.options.swallow and not (0 < self.options.swallow_most <= self.in_a_row)

    def submit(self, text: str, via: str) -> None:
        now = time.monotonic()
        self.in_a_row = 0
        self.submitted += 1
        self.last = text
        self.log("submit", text, number=self.submitted, via=via, queued=now < self.busy_until)
        if self.submitted in self.options.die_at and self.options.die_when == "submit":
            self.die()
            return
        self.draft = []
        if busy_s := self.some(self.options.busy_s):
            self.busy_until = max(self.busy_until, now) + busy_s
            self.later(self.busy_until - now, self.touch)
        if self.options.history != "none":
            mark = {"marked": "» ", "same": "> "}[self.options.history]
            self.told.append(mark + text)
        self.hold_drawing(self.some(self.options.submit_lag_ms, 0.001))
        if self.options.dialog_when == "submit" and self.has_dialog(self.submitted):
            self.ask()

    def touch(self) -> None:
        self.dirty = True

    # the dialog

    def ask(self) -> None:
        self.dialog = self.dirty = True
        self.log("dialog", number=self.submitted + (self.options.dialog_when == "text"))
        if self.options.dialog_s:
            self.later(self.options.dialog_s, lambda: self.end_dialog("denied"))

    def in_dialog(self, name: str, text: str) -> None:
        if self.options.dialog_deaf:
            self.log("discarded", text or name)
        elif name == "enter" or text == "1":
            self.end_dialog("approved")
        elif name in {"escape", "ctrl-c"} or text == "2":
            self.end_dialog("denied")
        else:
            self.log("discarded", text or name)

    def end_dialog(self, event: str) -> None:
        if self.dialog:
            self.log(event, "APPROVED" if event == "approved" else "")
            self.dialog, self.dirty = False, True

    # the screen

    def hold_drawing(self, seconds: float) -> None:
        self.drawing_held_until = max(self.drawing_held_until, time.monotonic() + seconds)

    def draw_soon(self) -> None:
        if not self.dirty or not self.size[0]:
            return
        self.dirty = False
        held = max(self.drawing_held_until - time.monotonic(), 0.0)
        lag = held + self.some(self.options.draw_lag_ms, 0.001)
        self.later(lag, self.draw) if lag else self.draw()

    def up(self) -> str:
        return f"\x1b[{self.row}A" if self.row else ""

    def draw(self) -> None:
        size = struct.unpack("HHHH", fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        start = self.up() if size == self.size else "\x1b[H\x1b[2J"
        self.size = size
        lines, columns = max(size[0], 8), max(size[1], 20)
        told, self.told = self.told, []
        above = [row for text in told for row in self.indented(text, columns)]
        body, row, column = self.body(columns, lines - 4)
        border = f"{DIM}{'─' * columns}{PLAIN_STYLE}"
        area = [border, *body, border, f"{DIM}  {self.status()}{PLAIN_STYLE}"]
        text = "\r\n".join(f"\x1b[K{each}" for each in [*above, *area])
        self.row = row + 1
        write(f"\x1b[?7l{start}\r{text}\x1b[J\x1b[{len(area) - 1 - self.row}A\r\x1b[{column}C\x1b[?7h")

    def indented(self, text: str, columns: int) -> list[str]:
        first, *rest = wrapped(text[2:], columns - 2)
        return [text[:2] + first, *("  " + row for row in rest)]

    def body(self, columns: int, most: int) -> tuple[list[str], int, int]:
        """Rows of the composer or the dialog, and where the cursor stands."""
        if self.dialog:
            asked = self.options.dialog_asks.replace("{n}", str(self.submitted))
            above = [f"  {row}" for row in wrapped(f"Bash: {asked}", columns - 4)]
            return [*above, "  Do you want to proceed?", "  ❯ 1. Yes", "    2. No"], len(above) + 1, 2
        if not self.draft and self.options.ghost:
            return [f"> {DIM}{self.options.ghost}{PLAIN_STYLE}"], 0, 2
        rows = wrapped("".join(unit[1] for unit in self.draft), columns - 3)[-most:]
        shown = [("> " if at == 0 else "  ") + row for at, row in enumerate(rows)]
        return shown, len(shown) - 1, sum(map(cells, shown[-1]))

    def status(self) -> str:
        if self.dialog:
            return "Enter to confirm"
        if self.normal:
            return "-- NORMAL --"
        return "hostile · working… esc to interrupt" if time.monotonic() < self.busy_until else "hostile · idle"

    # the log

    def log(self, event: str, text: str = "", **more: object) -> None:
        if not self.options.log:
            return
        line = {"t": time.time(), "mono": time.monotonic(), "event": event, "agent": self.options.name, **more}
        raw = text.encode("utf-8", "surrogateescape")
        line["text"] = raw.decode("utf-8", "replace")
        if line["text"] != text:
            line["base64"] = base64.b64encode(raw).decode()
        with Path(self.options.log).open("ab", buffering=0) as log:
            log.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def write(text: str) -> None:
    """All of a text on the screen."""
    data = text.encode("utf-8", "replace")
    while data:
        data = data[os.write(1, data) :]


def main() -> int:
    """Run with this program's arguments; gives the exit code."""
    options = read_options(sys.argv[1:])
    wake, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in (signal.SIGWINCH, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer)
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSANOW)
    write("\x1b[?2004h")
    try:
        return Hostile(options).run(wake)
    finally:
        write("\x1b[?2004l")
        termios.tcsetattr(0, termios.TCSANOW, before)


if __name__ == "__main__":
    sys.exit(main())
