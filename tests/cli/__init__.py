"""The command line, run as a person or an agent runs it."""
