"""The program `taco`: what becomes another program, or runs all the time, is told apart before much is loaded."""

from __future__ import annotations

import sys

EXEC_AGENT = "exec-agent"
DEMO_AGENT = "demo-agent"


def main() -> int:
    """Run the command line and return the exit code."""
    argv = sys.argv[1:]
    if argv[:1] == [EXEC_AGENT]:
        from taco.cli import exec_agent

        exec_agent.run(argv[1:])
    if argv[:1] == [DEMO_AGENT]:
        from taco import demo

        return demo.main(argv[1:]) or 0
    from taco.cli import outcome, quick

    outcome.prepare_streams()
    if (code := quick.run(argv)) is not None:
        return code
    from taco.cli import app

    return app.main(argv)


if __name__ == "__main__":
    sys.exit(main())
