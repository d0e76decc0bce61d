"""A deployment from a package as it is unpacked: the archive that `cargo xtask package` makes, of parts that are made up."""

import os
import posixpath
import re
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path, PurePosixPath

from deployment import ROOT, Deployment, changes

sys.path.insert(0, str(ROOT / "xtask/package"))
import pack  # noqa: E402

TFVARS = 'deployment = "ci"\nregion = "eu-west-1"\nallowed_repositories = ["acme/app"]\n'
FUNCTIONS = "module.ecsrunner.module.control_plane.aws_lambda_function.functions"


class Package(unittest.TestCase):
    def packed(self, *parts: str) -> Path:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        directory, archive = Path(temporary.name) / "parts", Path(temporary.name) / "ecsrunner-1.2.3.zip"
        for part in parts:
            (directory / part).parent.mkdir(parents=True, exist_ok=True)
            (directory / part).write_text(part)
        (directory / parts[-1]).chmod(0o755)
        pack.pack("1.2.3", directory, archive)
        return archive

    def planned(self, archive: Path) -> dict:
        deployment = Deployment(package=archive)
        self.addCleanup(deployment.close)
        # Three lines are all that is written.
        (deployment.root / "terraform.tfvars").write_text(TFVARS)
        plan = deployment.plan()
        self.assertEqual({tuple(actions) for actions in changes(plan).values()}, {("create",)})
        return {change["address"]: change["change"]["after"] for change in plan["resource_changes"]}

    def test_three_lines_are_enough_beside_the_archives(self):
        made = self.planned(self.packed("control-plane-arm64.zip", "control-plane-x86_64.zip", "agent-arm64", "agent-x64"))
        function = made[f'{FUNCTIONS}["control_plane"]']
        self.assertEqual(function["architectures"], ["arm64"])
        self.assertEqual(os.path.basename(function["filename"]), "control-plane-arm64.zip")

    def test_a_package_for_one_architecture_is_enough(self):
        made = self.planned(self.packed("control-plane-x86_64.zip", "agent-x64"))
        function = made[f'{FUNCTIONS}["sweeper"]']
        self.assertEqual(function["architectures"], ["x86_64"])
        self.assertEqual(os.path.basename(function["filename"]), "control-plane-x86_64.zip")

    def test_it_has_what_a_deployment_needs_and_no_file_that_the_repository_does_not_know(self):
        unknown = ROOT / "terraform/examples/minimal/terraform.tfvars.test"
        unknown.write_text(TFVARS)
        self.addCleanup(unknown.unlink)
        archive = zipfile.ZipFile(self.packed("agent-x64", "bin/linux-x86_64/ecsrunner"))
        names = {entry.filename.removeprefix("ecsrunner-1.2.3/"): entry for entry in archive.infolist()}
        for name in ("terraform/main.tf", "runner/Dockerfile", "docs/operate.md", "README.md", "LICENSE-MIT"):
            self.assertIn(name, names)
        self.assertEqual([name for name in names if "tftest" in name or "tfstate" in name or "tfvars" in name], [])
        modes = {name: entry.external_attr >> 16 & 0o777 for name, entry in names.items()}
        self.assertEqual((modes["bin/linux-x86_64/ecsrunner"], modes["agent-x64"]), (0o755, 0o644))

    def test_each_link_of_its_documents_leads_to_a_file_in_it(self):
        archive = zipfile.ZipFile(self.packed("agent-x64"))
        names = set(archive.namelist())
        places = names | {str(parent) for name in names for parent in PurePosixPath(name).parents}
        dead = []
        for name in sorted(name for name in names if name.endswith(".md")):
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", archive.read(name).decode()):
                place = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
                if "://" not in target and place not in places:
                    dead.append(f"{name}: {target}")
        self.assertEqual(dead, [])

    def test_the_same_parts_are_the_same_archive(self):
        first, second = (self.packed("control-plane-arm64.zip", "agent-arm64").read_bytes() for _ in range(2))
        self.assertEqual(first, second)


if __name__ == "__main__":
    unittest.main()
