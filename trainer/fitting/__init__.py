"""The training loop: train step, checkpoint, schedule, progress events."""
