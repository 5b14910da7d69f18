"""The embedded SageMaker: a twin for development and tests. Shares no code with the client it checks."""
