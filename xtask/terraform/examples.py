"""The examples of terraform/examples, as planned by their own tests, so that no account is needed."""

import json
import os
import pathlib
import subprocess
import tempfile

import plan

NAMES = ("minimal", "complete")


def planned(root: pathlib.Path) -> dict[str, dict]:
    """The plan of each example of a checkout, by its name."""
    return {name: _planned(root / "terraform", name) for name in NAMES}


def _planned(terraform: pathlib.Path, name: str) -> dict:
    directory, arguments = _layout(terraform, name)
    lock = directory / plan.LOCK
    had_lock = lock.exists()
    with tempfile.TemporaryDirectory() as data:
        environment = {**os.environ, "TF_DATA_DIR": data, "TF_IN_AUTOMATION": "1"}

        def run(*words: str) -> str:
            command = ["terraform", f"-chdir={directory}", *words]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                raise plan.Unreadable(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout

        try:
            run("init", "-backend=false", "-input=false", "-no-color", *arguments[:1])
            return only(run("test", "-json", "-verbose", "-no-color", *arguments).splitlines())
        finally:
            if not had_lock:
                lock.unlink(missing_ok=True)


def _layout(terraform: pathlib.Path, name: str) -> tuple[pathlib.Path, list[str]]:
    """Where an example's tests run. An example of earlier versions is not a root module, but variables of `terraform`."""
    own = terraform / "examples" / name
    if (own / "main.tf").exists():
        return own, []
    return terraform, [f"-test-directory=examples/{name}", f"-var-file=examples/{name}/terraform.tfvars"]


def only(messages: list[str]) -> dict:
    """The one plan among the messages of `terraform test`."""
    read = [json.loads(message) for message in messages]
    plans = [message["test_plan"] for message in read if message["type"] == "test_plan"]
    if len(plans) != 1:
        raise plan.Unreadable(f"the example's tests made {len(plans)} plans: one is expected")
    return plans[0]
