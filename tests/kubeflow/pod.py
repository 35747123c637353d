"""Runs a pod's command, `python -m MODULE …`, in the process that runs this file. The backend sets `pod`."""

import os
import runpy
import sys

command, environment, home, log = pod  # noqa: F821
with open(log, "w") as file:
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)
os.environ.clear()
os.environ.update(environment)
os.chdir(home)
interpreter, option, module, *arguments = command
assert (interpreter, option) == ("python", "-m")
sys.argv = [module, *arguments]
runpy.run_module(module, run_name="__main__", alter_sys=True)
