"""Runs in a pod: asks a model over both protocols until it is told to stop, and then says what came of it, as JSON.

load.py HOST LEAST DIRECTORY: at least so many requests; in the directory `begun` appears, and `stop` is waited for.
"""

import collections
import json
import pathlib
import sys
import threading

from serving.client import Recommender

host, least, directory = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
answers, errors, lock = collections.Counter(), [], threading.Lock()


def go_on():
    with lock:
        return not errors and (answers.total() < least or not (directory / "stop").exists())


def ask(address):
    with Recommender(address) as client:
        while go_on():
            try:
                found = ",".join(item.item_id for item in client.recommend("ann", history=["3"]))
            except Exception as error:
                errors.append(f"{address}: {type(error).__name__}: {error}")
                return
            with lock:
                answers[found] += 1
                if answers.total() == 100:
                    (directory / "begun").touch()


addresses = [f"http://{host}:8501", f"{host}:8500"] * 2
threads = [threading.Thread(target=ask, args=(address,)) for address in addresses]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"answers": answers, "errors": errors}))
