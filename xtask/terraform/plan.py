"""A Terraform plan as JSON: read from a file, or created from one of the modules with the inputs in this directory.

No file is left in the module's directory. If no registry can be reached, TF_CLI_CONFIG_FILE tells Terraform where the
provider is. With the real provider a plan needs AWS credentials.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOCK = ".terraform.lock.hcl"


class Unreadable(Exception):
    """There is no plan, or it lacks the needed information."""


def made_of(module: str) -> dict:
    """The plan of terraform/modules/<module>, with the inputs in <module>.tfvars.json."""
    inputs = pathlib.Path(__file__).resolve().with_name(f"{module}.tfvars.json")

    def make(terraform, own: str) -> dict:
        out = os.path.join(own, "plan")
        terraform("plan", "-input=false", "-no-color", "-lock=false", f"-var-file={inputs}", f"-out={out}")
        return json.loads(terraform("show", "-json", out))

    return in_module(module, make)


def in_module(module: str, use):
    """What `use` returns: it gets a function that runs Terraform in the initialised module, and a directory."""
    directory = ROOT / "terraform" / "modules" / module
    lock = directory / LOCK
    had_lock = lock.exists()
    with tempfile.TemporaryDirectory() as own:
        environment = {**os.environ, "TF_DATA_DIR": os.path.join(own, "data"), "TF_IN_AUTOMATION": "1"}

        def terraform(*arguments: str) -> str:
            command = ["terraform", f"-chdir={directory}", *arguments]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                raise Unreadable(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
            return done.stdout

        try:
            terraform("init", "-backend=false", "-input=false", "-no-color")
            return use(terraform, own)
        finally:
            if not had_lock:
                lock.unlink(missing_ok=True)


def configuration(plan: dict, module: str) -> dict:
    """The module's configuration: the root module, or the module of that name anywhere in the tree."""
    root = plan["configuration"]["root_module"]
    found = list(_calls(root, module))
    if len(found) > 1:
        raise Unreadable(f"the plan calls a module `{module}` {len(found)} times: once is expected")
    return found[0] if found else root


def _calls(module: dict, wanted: str):
    for name, call in module.get("module_calls", {}).items():
        if name == wanted:
            yield call["module"]
        yield from _calls(call["module"], wanted)


def planned(plan: dict, kind: str) -> list[dict]:
    """The known values of every resource of that type."""
    return [resource["values"] for resource in _resources(plan["planned_values"]["root_module"]) if resource["type"] == kind]


def _resources(module: dict):
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)


def report(module: str, check) -> None:
    """Runs a check on the plan file named on the command line, or on a new plan of the module. Prints the result and
    exits with 1 after a mistake."""
    try:
        if len(sys.argv) > 1:
            terraform = json.loads(pathlib.Path(sys.argv[1]).read_text())
        else:
            terraform = made_of(module)
        mistakes, done = check(terraform)
    except Unreadable as error:
        sys.exit(f"error: {error}")
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    if mistakes:
        sys.exit(1)
    print(done)
