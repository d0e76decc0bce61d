#!/usr/bin/env python3
"""A copy of the Terraform that is planned and applied with the stand-in for AWS's provider (provider.py).

    deployment.py FILE CHECKOUT        applies a checkout's example `minimal`, and writes its state to FILE

Nothing outside the copy is read or written, and no call leaves the machine. Only arguments are checked by AWS's own
provider: its schema comes from the registry, or from the source in TF_CLI_CONFIG_FILE.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "registry.terraform.io/hashicorp/aws"
PLATFORM = "linux_arm64" if os.uname().machine == "aarch64" else "linux_amd64"
# What the package has beside `terraform`.
PACKAGED = ("control-plane-arm64.zip", "control-plane-x86_64.zip", "agent-x64", "agent-arm64")
# A build by Docker calls these two. The image is in no registry yet.
TOOLS = {
    "docker": '#!/bin/sh\ncase "$*" in *"imagetools inspect"*) exit 1 ;; esac\n',
    "aws": "#!/bin/sh\necho password\n",
}


class Failed(Exception):
    """A command of Terraform failed: its output."""


class Deployment:
    """One root module in a copy of a checkout, or in an unpacked package, with its own state."""

    def __init__(self, checkout: Path = ROOT, root: str = "examples/minimal", package: Path | None = None):
        self._temporary = tempfile.TemporaryDirectory()
        self.home = Path(self._temporary.name)
        if package is None:
            self._copy(checkout)
            self.terraform = self.home / "terraform"
        else:
            zipfile.ZipFile(package).extractall(self.home)
            (self.terraform,) = self.home.glob("ecsrunner-*/terraform")
        self._add_tools()
        self.root = self.terraform / root
        self._environment = {**os.environ, "TF_IN_AUTOMATION": "1", "TF_DATA_DIR": str(self.home / "data")}
        self._stand_in()
        self.run("init", "-input=false", "-no-color")

    def close(self) -> None:
        self._temporary.cleanup()

    def _copy(self, checkout: Path) -> None:
        generated = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*", "tests", "*.tftest.hcl", "__pycache__")
        for name in ("terraform", "runner"):
            shutil.copytree(checkout / name, self.home / name, ignore=generated)
        for name in PACKAGED:
            (self.home / name).write_text(f"{name}, first version\n")

    def _add_tools(self) -> None:
        tools = self.home / "bin"
        tools.mkdir()
        for name, text in TOOLS.items():
            self._program(tools / name, text)

    def _stand_in(self) -> None:
        """Has Terraform use the stand-in from here on, with the schema of the provider that was found."""
        self.run("init", "-backend=false", "-input=false", "-no-color")
        version = json.loads(self.run("version", "-json"))["provider_selections"][ADDRESS]
        schema = self._of_what_is_used(json.loads(self.run("providers", "schema", "-json")))
        (self.home / "schema.json").write_text(json.dumps(schema))
        place = self.home / "mirror" / ADDRESS / version / PLATFORM
        place.mkdir(parents=True)
        here = Path(__file__).resolve().with_name("provider.py")
        command = f'exec "{sys.executable}" -B "{here}" "{self.home}/schema.json" "{self.home}/functions.json"\n'
        self._program(place / f"terraform-provider-aws_v{version}_x5", f"#!/bin/sh\n{command}")
        settings = self.home / "terraformrc"
        settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{self.home}/mirror"\n  }}\n}}\n')
        (self.root / ".terraform.lock.hcl").unlink()
        shutil.rmtree(self.home / "data")
        self._environment |= {
            "TF_CLI_CONFIG_FILE": str(settings),
            "PATH": f"{self.home}/bin:{os.environ['PATH']}",
            "AWS_REGION": "eu-west-1",
        }

    def _of_what_is_used(self, schemas: dict) -> dict:
        """Without the other types: each start of the stand-in reads the schema."""
        used = {"data": set(), "resource": set()}
        for file in self.terraform.rglob("*.tf"):
            for block, kind in re.findall(r'^(data|resource) "(aws_\w+)"', file.read_text(), re.MULTILINE):
                used[block].add(kind)
        read = schemas["provider_schemas"][ADDRESS]
        # A state can hold types that the configuration no longer has.
        for file in (ROOT / "fixtures/previous").glob("*.tfstate"):
            used["resource"] |= {resource["type"] for resource in json.loads(file.read_text())["resources"] if resource["mode"] == "managed"}
        for key, block in (("resource_schemas", "resource"), ("data_source_schemas", "data")):
            read[key] = {kind: schema for kind, schema in read[key].items() if kind in used[block]}
        return schemas

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, *arguments: str) -> str:
        done = subprocess.run(["terraform", *arguments], cwd=self.root, env=self._environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"terraform {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def plan(self, *arguments: str) -> dict:
        """The plan, which `apply` applies."""
        file = str(self.home / "plan")
        self.run("plan", "-input=false", "-no-color", f"-out={file}", *arguments)
        return json.loads(self.run("show", "-json", file))

    def apply(self) -> None:
        self.run("apply", "-input=false", "-no-color", str(self.home / "plan"))

    def remember_functions(self) -> None:
        """Has the functions of the state run the code that the state knows."""
        resources = json.loads(self.state.read_text())["resources"]
        made = [resource for resource in resources if resource["type"] == "aws_lambda_function" and resource["mode"] == "managed"]
        known = [instance["attributes"] for resource in made for instance in resource["instances"]]
        functions = {attributes["function_name"]: attributes["code_sha256"] for attributes in known}
        (self.home / "functions.json").write_text(json.dumps(functions))

    @property
    def state(self) -> Path:
        return self.root / "terraform.tfstate"


def changes(plan: dict) -> dict[str, list[str]]:
    """The actions of each managed resource that changes, by address: `create`, `update`, `delete`, `forget`."""
    return {
        change["address"]: change["change"]["actions"]
        for change in plan.get("resource_changes", [])
        if change["mode"] == "managed" and change["change"]["actions"] != ["no-op"]
    }


def write_state(file: Path, checkout: Path) -> None:
    """Applies the example `minimal`. Versions before the examples were roots have it as variables of `terraform`."""
    own = (checkout / "terraform/examples/minimal/main.tf").exists()
    deployment = Deployment(checkout, "examples/minimal" if own else "")
    try:
        if own:
            (deployment.root / "terraform.tfvars").write_text('deployment = "ci"\nregion = "eu-west-1"\nallowed_repositories = ["acme/app"]\n')
        else:
            shutil.copy(deployment.root / "examples/minimal/terraform.tfvars", deployment.root)
            (deployment.home / "dist").mkdir()
            (deployment.home / "control-plane-arm64.zip").rename(deployment.home / "dist/control-plane-arm64.zip")
        deployment.plan()
        deployment.apply()
        state = json.loads(deployment.state.read_text())
        # Data sources are read again. A line for each resource, so that a change of the file can be read.
        kept = [json.dumps(resource) for resource in state["resources"] if resource["mode"] == "managed"]
        text = json.dumps({**state, "resources": []}, indent=1)
        file.write_text(text.replace('"resources": []', '"resources": [\n' + ",\n".join(kept) + "\n ]") + "\n")
    finally:
        deployment.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        write_state(Path(sys.argv[1]), Path(sys.argv[2]).resolve())
    except Failed as failed:
        sys.exit(f"error: {failed}")
