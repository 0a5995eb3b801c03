"""What several tests need: waiting, real tmux, processes, and the program itself."""
