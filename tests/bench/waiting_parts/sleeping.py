"""The floor: a trigger that only sleeps. What it costs is Airflow's."""

import asyncio

from airflow.triggers.base import BaseTrigger


class SleepingTrigger(BaseTrigger):
    def __init__(self, job_name):
        super().__init__()
        self.job_name = job_name

    def serialize(self):
        return "sleeping.SleepingTrigger", {"job_name": self.job_name}

    async def run(self):
        await asyncio.sleep(1_000_000)
        yield
