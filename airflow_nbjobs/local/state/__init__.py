"""What exists: jobs, models, their registries, and what the embedded SageMaker itself is."""
