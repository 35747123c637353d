"""A push as a process that can be killed: `push MODEL-DIR ADDRESS`."""

import sys

from components.atomic_pusher.executor import push

push(*sys.argv[1:])
