"""The door to tmux: creating sessions, the shared command pipe, and the one place that types."""
