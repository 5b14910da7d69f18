"""Adapters to AWS: core plus boto3."""
