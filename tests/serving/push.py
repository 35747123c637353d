"""A push as a process that can be killed: `push MODEL-DIR ADDRESS`."""

import sys

from components.push_destination import push

push(*sys.argv[1:])
