"""The widgets of the monitor: lines that are redrawn one by one."""
