"""TACO: a tmux-native orchestrator of coding agents."""

__version__ = "0.1.0"
