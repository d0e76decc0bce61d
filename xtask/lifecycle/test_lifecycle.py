"""The life of a deployment, from the first apply to its end, with the stand-in for AWS's provider."""

import json
import unittest

from deployment import Deployment, Failed, changes

TFVARS = 'deployment = "ci"\nregion = "eu-west-1"\nallowed_repositories = ["acme/app"]\n'
CLASSES = "module.ecsrunner.module.parameters.aws_ssm_parameter.document[\"classes\"]"


class Lifecycle(unittest.TestCase):
    """Each test starts from an apply of the example `minimal`, as a package has it: three lines of inputs."""

    @classmethod
    def setUpClass(cls):
        cls.deployment = Deployment()
        cls.addClassCleanup(cls.deployment.close)
        (cls.deployment.root / "terraform.tfvars").write_text(TFVARS)
        cls.first = cls.deployment.plan()
        cls.deployment.apply()
        cls.applied = cls.deployment.state.read_text()
        cls.main = (cls.deployment.root / "main.tf").read_text()

    def setUp(self):
        self.deployment.state.write_text(self.applied)
        self.deployment.remember_functions()
        self.set()

    def set(self, more=""):
        """Adds inputs to terraform.tfvars."""
        (self.deployment.root / "terraform.tfvars").write_text(f"{TFVARS}{more}\n")

    def call(self, more):
        """Adds arguments to the module's call."""
        self.assertIn('source = "../.."\n', self.main)
        self.addCleanup((self.deployment.root / "main.tf").write_text, self.main)
        text = self.main.replace('source = "../.."\n', f'source = "../.."\n{more}\n')
        (self.deployment.root / "main.tf").write_text(text)

    def settles(self):
        """Applies the last plan. The next one must be empty."""
        self.deployment.apply()
        self.assertEqual(changes(self.deployment.plan()), {})

    def test_three_lines_of_inputs_are_a_deployment(self):
        made = changes(self.first)
        self.assertGreater(len(made), 80)
        self.assertEqual({tuple(actions) for actions in made.values()}, {("create",)})

    def test_the_second_plan_is_empty(self):
        plan = self.deployment.plan()
        self.assertEqual(changes(plan), {})
        self.assertEqual([name for name, change in plan["output_changes"].items() if change["actions"] != ["no-op"]], [])

    def test_the_state_holds_no_secret(self):
        kinds = {resource["type"] for resource in json.loads(self.applied)["resources"]}
        self.assertIn("aws_secretsmanager_secret", kinds)
        self.assertFalse(kinds & {"aws_secretsmanager_secret_version", "aws_secretsmanager_random_password"})

    def test_nothing_of_the_account_is_set(self):
        kinds = {resource["type"] for resource in json.loads(self.applied)["resources"]}
        self.assertIn("aws_api_gateway_stage", kinds)
        self.assertNotIn("aws_api_gateway_account", kinds)

    def test_another_class_changes_the_catalogue_alone(self):
        self.set("runner_class_sizes = { small = { cpu = 2048, memory = 4096, default = true } }")
        self.assertEqual(changes(self.deployment.plan()), {CLASSES: ["update"]})
        self.settles()

    def test_an_alarm_gets_a_recipient_by_one_line(self):
        self.set('observe = { emails = ["ci@example.com"] }')
        planned = self.deployment.plan()
        subscription = 'module.ecsrunner.module.observe.aws_sns_topic_subscription.emails["ci@example.com"]'
        self.assertEqual(changes(planned), {subscription: ["create"]})
        self.settles()

    def test_protection_ends_by_one_line(self):
        self.set("storage = { deletion_protection = false }")
        tables = {f"module.ecsrunner.module.state.aws_dynamodb_table.{name}": ["update"] for name in ("boot", "state")}
        planned = changes(self.deployment.plan())
        # It names a table that changes, so Terraform reads the document after the update. It stays the same.
        self.assertEqual(planned.pop("module.ecsrunner.module.state.aws_dynamodb_resource_policy.boot"), ["update"])
        self.assertEqual(planned, tables)
        self.settles()

    def test_an_input_that_does_not_fit_is_refused_by_its_name(self):
        for line, words in (
            ('limits = { max_runners = "many" }', r"limits\.max_runners is `many`: a number is expected"),
            ("limits = { max_runner = 10 }", "limits has max_runner: one of"),
            ("runner_class_sizes = { small = null }", "runner_class_sizes.small is null: an object"),
            ('runner_image_build = { builder = "compose" }', r"runner_image_build\.builder is `compose`"),
        ):
            self.set(line)
            with self.assertRaisesRegex(Failed, f"(?s){words}") as failed:
                self.deployment.plan()
            # Nothing else is reported, such as what follows from the mistake.
            self.assertEqual(str(failed.exception).count("Error: "), 1, line)

    def test_another_archive_updates_the_functions_in_place(self):
        archive = self.deployment.home / "control-plane-arm64.zip"
        before = archive.read_text()
        self.addCleanup(archive.write_text, before)
        archive.write_text("control-plane-arm64.zip, second version\n")
        functions = "module.ecsrunner.module.control_plane.aws_lambda_function.functions"
        updated = {f'{functions}["{name}"]': ["update"] for name in ("control_plane", "sweeper")}
        updated["module.ecsrunner.module.control_plane.aws_lambda_function.questions"] = ["update"]
        planned = changes(self.deployment.plan())
        # It names a function that changes, so Terraform reads the document after the update. It stays the same.
        self.assertEqual(planned.pop("module.ecsrunner.module.control_plane.aws_iam_role_policy.scheduler"), ["update"])
        self.assertEqual(planned, updated)
        self.settles()

    def test_code_that_others_have_replaced_stops_the_plan(self):
        functions = self.deployment.home / "functions.json"
        functions.write_text(json.dumps(json.loads(functions.read_text()) | {"ecsrunner-ci-sweeper": "another"}))
        with self.assertRaisesRegex(Failed, "ecsrunner-ci-sweeper.*\n?.*has the SHA-256"):
            self.deployment.plan()

    def test_an_archive_that_is_missing_is_named(self):
        for name in ("control-plane-arm64.zip", "control-plane-x86_64.zip"):
            archive = self.deployment.home / name
            self.addCleanup(archive.write_text, archive.read_text())
            archive.unlink()
        with self.assertRaisesRegex(Failed, r"control-plane-arm64\.zip`: an\s+existing\s+file\s+is\s+expected"):
            self.deployment.plan()

    def test_another_region_than_expected_creates_nothing(self):
        self.call('region = "us-east-1"')
        with self.assertRaisesRegex(Failed, r"region is `us-east-1`, but AWS's provider uses the\s+Region\s+`eu-west-1`"):
            self.deployment.plan()

    def test_a_boundary_changes_roles_in_place_and_a_path_replaces_them(self):
        boundary = 'permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"'
        self.set(f"iam = {{ {boundary} }}")
        bounded = changes(self.deployment.plan())
        roles = {resource["name"] for resource in json.loads(self.applied)["resources"] if resource["type"] == "aws_iam_role"}
        self.assertEqual({address.split("[")[0].rsplit(".", 1)[1] for address in bounded}, roles)
        self.assertEqual({tuple(actions) for actions in bounded.values()}, {("update",)})
        self.settles()
        self.set('iam = { path = "/ci/" }')
        replaced = {address for address, actions in changes(self.deployment.plan()).items() if "delete" in actions}
        self.assertTrue(all(address in replaced for address in bounded))

    def test_an_access_log_is_asked_for_and_given_back(self):
        account = 'module.ecsrunner.module.webhook.aws_api_gateway_account.own["own"]'
        self.set('webhook = { account_log_role = "own" }')
        self.assertEqual(changes(self.deployment.plan())[account], ["create"])
        self.settles()
        self.set('webhook = { account_log_role = "existing" }')
        given_back = changes(self.deployment.plan())
        self.assertEqual(given_back[account], ["delete"])
        self.assertNotIn("module.ecsrunner.module.webhook.aws_cloudwatch_log_group.access", given_back)
        self.settles()

    def test_destroy_deletes_everything(self):
        plan = self.deployment.plan("-destroy")
        held = [resource for resource in json.loads(self.applied)["resources"] if resource["mode"] == "managed"]
        self.assertEqual(len(changes(plan)), sum(len(resource["instances"]) for resource in held))
        self.assertEqual({tuple(actions) for actions in changes(plan).values()}, {("delete",)})
        self.deployment.apply()
        left = json.loads(self.deployment.state.read_text())["resources"]
        self.assertEqual([resource for resource in left if resource["mode"] == "managed"], [])


class TodaysForms(unittest.TestCase):
    """Inputs of the version before."""

    def test_a_build_with_sources_of_ones_own_and_another_tag_build_again(self):
        deployment = Deployment()
        self.addCleanup(deployment.close)
        image = deployment.home / "image"
        image.mkdir()
        (image / "Dockerfile").write_text("FROM ghcr.io/actions/actions-runner\nCOPY hello.txt /\n")
        (image / "hello.txt").write_text("hello\n")
        build = 'runner_image_build = { builder = "docker", dockerfile_dir = "../../../image", context_dir = "../../../image", inputs = ["*.txt"] }'

        def plan(tag):
            text = f'{TFVARS}runner_image_tag = "{tag}"\n{build}\n'
            (deployment.root / "terraform.tfvars").write_text(text)
            return changes(deployment.plan())

        def builds(tag):
            return any(".terraform_data." in address and "create" in actions for address, actions in plan(tag).items())

        self.assertTrue(builds("1"))
        deployment.apply()
        self.assertEqual(plan("1"), {})
        self.assertTrue(builds("2"))
        deployment.apply()
        self.assertEqual(plan("2"), {})
        (image / "hello.txt").write_text("hello again\n")
        self.assertTrue(builds("2"))


if __name__ == "__main__":
    unittest.main()
