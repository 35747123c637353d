"""kubectl on the cluster of KUBECONFIG, in a namespace of the tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.serving.conftest import ROOT

NAMESPACE = "recommender-test"
KUBECTL = Path(sys.executable).parent / "kubectl"


def kubectl(*arguments: Any, given: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs kubectl in the tests' namespace; `given` is an object, or a list of them, for its standard input."""
    text = None
    if given is not None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": given} if isinstance(given, list) else given)
    command = [KUBECTL, f"--namespace={NAMESPACE}", *map(str, arguments)]
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    assert not check or done.returncode == 0, (arguments, done.stdout + done.stderr)
    return done


def get(*arguments: Any) -> dict[str, Any]:
    """An object, or a list of them."""
    return json.loads(kubectl("get", "--output=json", *arguments).stdout)


def kustomization(directory: Path, **content: Any) -> Path:
    """Writes one whose `resources` and `components` are directories of the repository."""
    for key in ("resources", "components"):
        content[key] = [os.path.relpath(ROOT / path, directory.resolve()) for path in content.get(key, [])]
    directory.mkdir(exist_ok=True)
    (directory / "kustomization.yaml").write_text(json.dumps(content))
    return directory


def image(name: str) -> str:
    """The name of an image of `make images` in the cluster."""
    return f"localhost/recommender-{name}:{metadata.version('recommender-pipeline')}"
