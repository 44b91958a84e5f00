"""Run work in child processes: a pool of workers, or one process with limits."""
