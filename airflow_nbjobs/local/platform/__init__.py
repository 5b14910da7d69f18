"""What the platform does around a container: slots, channels from and to S3, checkpoints, logs."""
