"""Waiting for many jobs with few calls: the shared poller, and followers of logs."""
