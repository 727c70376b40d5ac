"""Next-token training: schedules, the trainer, branching from a checkpoint, the guard against bad steps."""
