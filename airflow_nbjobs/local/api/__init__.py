"""The operations that the embedded SageMaker answers."""
