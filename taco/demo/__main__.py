"""Runs the demo agent without the `taco` command: `python -m taco.demo`."""

import sys

from taco.demo.agent import main

sys.exit(main(sys.argv[1:]))
