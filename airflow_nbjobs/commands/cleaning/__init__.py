"""What ended runs left in S3 and SageMaker: found, attributed to a run by name and owner, and deleted where nobody needs it."""
