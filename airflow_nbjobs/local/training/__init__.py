"""Training jobs: what CreateTrainingJob checks, and a job from the queue to its last status."""
