"""Writes a file to standard output, byte for byte, where a task is named "Spill FILE": what a run's log holds is up to that, and
if it is a pipe, also when."""

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
            with open(name, "rb", buffering=0) as file:
                while piece := file.read(1 << 20):
                    sys.stdout.buffer.write(piece)
                    sys.stdout.buffer.flush()
