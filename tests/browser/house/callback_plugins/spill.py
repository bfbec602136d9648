"""Writes a file to standard output, byte for byte, where a task is named "Spill FILE": what a run's log holds is up to that."""

import shutil
import sys

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: spill
    type: notification
    short_description: Writes files to standard output
    requirements: [enable in configuration]
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "spill"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task, is_conditional):
        word, _, name = task.get_name().partition(" ")
        if word == "Spill":
            sys.stdout.flush()
            with open(name, "rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
