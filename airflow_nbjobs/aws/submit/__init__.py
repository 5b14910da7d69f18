"""From a notebook to a training job: sources, staging, the request, adoption of earlier jobs."""
