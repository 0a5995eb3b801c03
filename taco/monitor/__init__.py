"""The monitor: the Textual app that shows one session, and runs in its window 1."""
