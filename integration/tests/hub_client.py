"""The official clients of the hubs, run in processes of their own with a home of their own."""

import json
import os
import subprocess
import sys

from ..servers.process import venv_tool

NEVER = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HOME", "SSL_CERT_FILE", "MODELSCOPE_API_TOKEN")


class HubClient:
    """`hf` and Python with huggingface_hub, talking to one fake hub. Xet is off: there is no CAS."""

    def __init__(self, hub, home):
        self.hub, self.home = hub, home

    def environment(self, token=None, **more):
        kept = {name: value for name, value in os.environ.items() if name not in NEVER}
        return {**kept, "HF_HOME": str(self.home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1", **self.hub.environment(token), **more}

    def hf(self, *words, token=None, **more):
        """`hf WORDS`: the finished process."""
        return subprocess.run([venv_tool("hf"), *map(str, words)], env=self.environment(token, **more), text=True,
                              capture_output=True, timeout=120, check=False)

    def python(self, script, token=None, **more):
        """What a script leaves in `answer`, as JSON. It finds huggingface_hub imported, and
        `attempt(call, *args, **words)`: the call's value, or its error as [class, status]."""
        text = PREAMBLE + script + "\nprint(json.dumps(answer))\n"
        done = subprocess.run([sys.executable, "-c", text], env=self.environment(token, **more), text=True,
                              capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def snapshot(self, name, kind="model"):
        """path -> bytes of what lies in the cache's only snapshot of a repository."""
        [root] = (self.home / "hub" / f"{kind}s--{name.replace('/', '--')}" / "snapshots").iterdir()
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


PREAMBLE = """
import json
import huggingface_hub as hub
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
api = HfApi()
def attempt(call, *args, **words):
    try:
        return call(*args, **words)
    except Exception as error:
        cause = error.__cause__ if type(error).__name__ == "LocalEntryNotFoundError" else error
        return [type(cause).__name__, getattr(getattr(cause, "response", None), "status_code", None)]
"""
