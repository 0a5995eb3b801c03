"""The demo agent: a scripted stand-in for an agent CLI, so that TACO runs without a key and a network."""

from taco.demo.agent import main

__all__ = ["main"]
