"""What is lost, doubled, reordered or garbled when everything under TACO is killed again and again.

`arena` is a real session on its own tmux and Redis, `load` sends, `faults` kills, `panes` reads what the programs in
the panes wrote down themselves, and `comparison` holds that against what senders had acknowledged.
"""
