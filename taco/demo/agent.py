"""The demo agent: a small model of an agent CLI with a scripted turn instead of a model's."""

from __future__ import annotations

import base64
import errno
import json
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from taco.demo import mother, work
from taco.demo.brief import Directive, brief_file, directives, is_brief, read_brief, read_message, shorten
from taco.demo.calls import Call
from taco.demo.composer import Composer, Rows
from taco.demo.keys import Decoder, Key
from taco.demo.options import Options, read_options
from taco.demo.script import Steps, taco
from taco.demo.view import View

BANNER = "demo agent: scripted, not a model"
ENDED = "demo agent ended."
# After an ESC byte, the rest of a key's sequence comes within this time or not at all.
ESCAPE_S = 0.03
CALL_LIMIT_S = 150.0
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Dialog:
    """A permission dialog: what is typed is thrown away, Enter approves."""

    def __init__(self, question: str) -> None:
        self.question = question
        self.choice = 0

    def draw(self, columns: int, limit: int) -> Rows:
        """The dialog's rows, in place of the composer."""
        options = [f"{'❯' if at == self.choice else ' '} {at + 1}. {text}" for at, text in enumerate(("Yes", "No"))]
        rows = [self.question, "Do you want to proceed?", *options, "Enter to confirm · Esc to cancel"]
        shown = [f"  {row}"[: columns - 1] for row in rows][-limit:]
        return Rows(shown, max(len(shown) - 3 + self.choice, 0), 2)

    def press(self, key: Key) -> bool | None:
        """The answer, when `key` gives one."""
        if key.name in {"up", "down"}:
            self.choice = 1 - self.choice
        elif key.name == "enter":
            return self.choice == 0
        elif key.name in {"escape", "ctrl-c"}:
            return False
        elif key.name == "text" and key.text in {"1", "2"}:
            return key.text == "1"
        return None


class DemoAgent:
    """One run: keys in, a script that is under way, a screen."""

    def __init__(self, options: Options, view: View) -> None:
        self.name = options.name
        self.finished = False
        self.exit_code: int | None = None
        self._options = options
        self._view = view
        self._decoder = Decoder()
        self._composer = Composer()
        self._queue: deque[tuple[str, bool]] = deque()  # a submission, and whether it is a task
        self._script: Steps | None = None
        self._step: float | Call | None = None  # a float is the monotonic time when the pause is over
        self._call_until = 0.0
        self._dialog: Dialog | None = None
        self._leaving = False

    # what scripts do

    def say(self, text: str) -> None:
        """Show an answer."""
        self._view.add("answer", text)

    def code(self, text: str) -> None:
        """Show text without a mark in front."""
        self._view.add("code", text)

    def pause(self, seconds: float) -> float:
        """A step of so many seconds at normal speed."""
        return seconds * self._options.speed

    def approve(self, question: str) -> None:
        """Put up a permission dialog, unless permissions are off."""
        if not self._options.yolo:
            self._dialog = Dialog(question)

    def leave(self, code: int) -> None:
        """End this program with an exit code."""
        self.exit_code = code

    # the loop

    def run(self, wake: int, keyboard: int) -> int:
        """Serve the keyboard until the end; `wake` becomes readable when a signal has come."""
        self._view.add("answer", f"{BANNER} ({self.name})")
        if self._options.resumed:
            self.say("Resumed. My earlier screen is gone; what I wrote is still there.")
            if not self._options.idle:
                self._go_on(self._options.brief_file)
        if self._options.prompt:
            self._submit(self._options.prompt, via="argument")
        while self.exit_code is None:
            self._advance()
            self._draw()
            if self.exit_code is None:
                self._listen(wake, keyboard)
        self._end_script()
        self._view.leave(ENDED)
        return self.exit_code

    def _listen(self, wake: int, keyboard: int) -> None:
        waits = [wake, keyboard]
        if self._dialog is None and isinstance(self._step, Call) and self._step.fd is not None:
            waits.append(self._step.fd)
        ready, _, _ = select.select(waits, [], [], self._timeout())
        if wake in ready:
            self._signals(os.read(wake, 512))
        if keyboard in ready:
            self._read(keyboard)
        elif self._decoder.waits_for_more and not ready:
            self._press_all(self._decoder.flush())

    def _timeout(self) -> float | None:
        limits = []
        if self._step is not None and self._dialog is None:
            end = self._call_until if isinstance(self._step, Call) else self._step
            limits.append(max(end - time.monotonic(), 0.0))
        if self._decoder.waits_for_more:
            limits.append(ESCAPE_S)
        return min(limits, default=None)

    def _signals(self, numbers: bytes) -> None:
        for number in ENDING:
            if number in numbers:
                self.leave(128 + number)

    def _read(self, keyboard: int) -> None:
        try:
            data = os.read(keyboard, 65_536)
        except OSError:  # the terminal is gone
            data = b""
        if data:
            self._press_all(self._decoder.feed(data))
        else:
            self.leave(128 + signal.SIGHUP)

    def _draw(self) -> None:
        working = "working… esc to interrupt" if self._busy else "idle"
        status = "waiting for you" if self._dialog else working
        queued = f" · {len(self._queue)} queued" if self._queue else ""
        hint = "press ctrl-c again to exit" if self._leaving else "scripted, not a model"
        body = self._dialog.draw if self._dialog else self._composer.draw
        self._view.draw(body, f"demo · {status}{queued} · {hint}")

    # keys

    @property
    def _busy(self) -> bool:
        return self._script is not None

    def _press_all(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if self.exit_code is not None:
                return
            self._press(key)

    def _press(self, key: Key) -> None:
        leaving, self._leaving = self._leaving, False
        if self._dialog is not None:
            self._answer_dialog(self._dialog, key)
        elif key.name == "enter":
            self._enter()
        elif key.name == "escape":
            self._interrupt()
        elif key.name == "ctrl-c":
            self._ctrl_c(leaving)
        elif key.name == "ctrl-d":
            if not self._composer.text:
                self.leave(0)
        else:
            self._composer.press(key)

    def _enter(self) -> None:
        if self._composer.text.strip():
            self._submit(self._composer.take(), via="enter")

    def _ctrl_c(self, again: bool) -> None:
        if again:
            self.leave(0)
            return
        self._leaving = True
        self._composer.clear()
        self._interrupt()

    def _interrupt(self) -> None:
        if self._busy:
            self._end_script()
            self.say("Interrupted.")

    def _answer_dialog(self, dialog: Dialog, key: Key) -> None:
        answer = dialog.press(key)
        if answer is None:
            if key.name in {"text", "paste"}:
                self._log("discarded", key.text)
            return
        self._log("approved" if answer else "denied", dialog.question)
        self.say(f"{dialog.question} {'Approved.' if answer else 'Denied.'}")
        self._dialog = None

    # submissions

    def _submit(self, text: str, via: str) -> None:
        self._log("submit", text, via=via, queued=self._busy)
        is_task = not self._options.idle and (via == "argument" or is_brief(text))
        self._queue.append((text, is_task))

    def _advance(self) -> None:
        """Go on with the script as far as it is ready, then with the next submission."""
        while self.exit_code is None and self._dialog is None:
            if self._script is None:
                if not self._queue:
                    return
                text, is_task = self._queue.popleft()
                self._view.add("prompt", shorten(text, lines=6, columns=1_200))
                self._script, self._step = self._task(text) if is_task else self._turn(text), None
            if not self._step_is_over():
                return
            self._next_step()

    def _step_is_over(self) -> bool:
        if isinstance(self._step, Call):
            if not self._step.pump() and time.monotonic() >= self._call_until:
                self._step.kill()
            return self._step.code is not None
        return self._step is None or time.monotonic() >= self._step

    def _next_step(self) -> None:
        assert self._script is not None
        try:
            step = next(self._script)
        except StopIteration:
            self._script = self._step = None
            return
        now = time.monotonic()
        self._call_until = now + CALL_LIMIT_S
        self._step = step if isinstance(step, Call) else now + step

    def _end_script(self) -> None:
        if isinstance(self._step, Call):
            self._step.kill()
        if self._script is not None:
            self._script.close()
        self._script = self._step = None

    def _go_on(self, path: str) -> None:
        """Take up the work of an earlier run, where that is known."""
        text = _contents(path)
        if not text:
            return
        if self._options.mother:
            self._script = mother.go_on(self, text)
        else:
            self._script = work.go_on(self, read_brief(text, self.name))

    def _task(self, text: str) -> Steps:
        """The script of the work this agent is here for."""
        body = read_message(text).body
        body = _contents(brief_file(body)) or body
        return mother.begin(self, body) if self._options.mother else work.begin(self, read_brief(body, self.name))

    def _turn(self, text: str) -> Steps:
        """The script that answers any other submission."""
        message = read_message(text)
        orders = directives(message.body)
        if orders:
            for order in orders:
                yield from self._obey(order)
        elif message.body.lower().startswith("reply:") and message.sender:
            answer = message.body[len("reply:") :].strip()
            self.say(f"I answer {message.sender}.")
            yield from taco(self, "send", message.sender, f"got it: {answer}")
        elif self._options.mother:
            yield from mother.hear(self, message)
        else:
            yield self.pause(0.3)
            self.say(f"Noted, {message.sender or 'thank you'}.")

    def _obey(self, order: Directive) -> Steps:
        """Do what a test asks for."""
        if order.name == "busy":
            yield _seconds(order.rest)  # exact: a test knows how long it wants
            self.say(f"I was busy for {order.rest} s.")
        elif order.name == "say":
            self.say(order.rest)
        elif order.name == "dialog":
            self.approve(order.rest or "Run the command: make install")
            yield 0.0
        elif order.name == "exit":
            self.leave(int(_seconds(order.rest)))
        elif order.name == "noise":
            until = time.monotonic() + _seconds(order.rest)
            while time.monotonic() < until:
                self.say(f"noise {until - time.monotonic():.1f}")
                yield 0.05
        elif order.name == "send":
            target, _, text = order.rest.partition(" ")
            yield from taco(self, "send", target, text)
        elif order.name in {"ask", "fail", "done"}:
            code, output = yield from taco(self, order.name, order.rest)
            self.say(f"taco {order.name}: {shorten(output) or code}")
        else:
            self.say(f"I do not know !{order.name}.")

    def _log(self, event: str, text: str, **more: object) -> None:
        if not self._options.log:
            return
        line: dict[str, object] = {"t": time.time(), "event": event, "agent": self.name, "text": text, **more}
        try:
            text.encode()
        except UnicodeEncodeError:
            line["text"] = text.encode("utf-8", "replace").decode()
            line["base64"] = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        # One write of a whole line in append mode: agents may share the file.
        with Path(self._options.log).open("ab", buffering=0) as log:
            log.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _contents(path: str) -> str:
    """The text of a file; "" for none that can be read."""
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, ValueError):
        return ""


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def _wake_pipe() -> int:
    """A file descriptor that becomes readable when a signal of interest comes."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)

    def ignore(number: int, frame: FrameType | None) -> None:
        """The number goes through the pipe."""

    for number in (signal.SIGWINCH, signal.SIGCHLD, *ENDING):
        signal.signal(number, ignore)
    signal.set_wakeup_fd(writer)
    return reader


def main(argv: list[str]) -> int:
    """Run `taco demo-agent` with these arguments on this terminal; gives the exit code."""
    options = read_options(argv)
    if not (os.isatty(0) and os.isatty(1)):
        print("taco demo-agent: it needs a terminal", file=sys.stderr)
        return 2
    wake = _wake_pipe()
    try:
        with View(0, 1) as view:
            return DemoAgent(options, view).run(wake, 0)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return 128 + signal.SIGHUP  # the terminal is gone
