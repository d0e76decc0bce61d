"""The upgrade of a deployment of the version before, from its stored state, in one apply."""

import json
import shutil
import unittest

from deployment import ROOT, Deployment, changes

PREVIOUS = ROOT / "fixtures/previous/terraform.tfstate"
TFVARS = 'deployment = "ci"\nregion = "eu-west-1"\nallowed_repositories = ["acme/app"]\n'
# Its form of the archive, relative to the working directory.
PACKAGE = 'control_plane = { package = { filename = "../dist/control-plane-arm64.zip" } }\n'
# What may be deleted: it is made again at once, or holds nothing and is known to nobody. A task definition stays at AWS
# (`skip_destroy`), and `terraform_data` is nothing there.
MAY_GO = {
    "aws_api_gateway_deployment",
    "aws_api_gateway_gateway_response",
    "aws_cloudwatch_metric_alarm",
    "aws_ecs_task_definition",
    "terraform_data",
}
# What leaves the state, and stays at AWS.
STAYS = {
    "module.state.aws_secretsmanager_secret_version.generated[\"webhook\"]",
    "module.webhook.aws_api_gateway_account.logs[\"own\"]",
    "module.webhook.aws_iam_role.account_logs[\"own\"]",
    "module.webhook.aws_iam_role_policy.account_logs[\"own\"]",
}


class Upgrade(unittest.TestCase):
    # Such a version was applied in the directory `terraform` itself.
    root, prefix = "", ""
    tfvars = TFVARS + PACKAGE

    @classmethod
    def setUpClass(cls):
        cls.deployment = Deployment(root=cls.root)
        cls.addClassCleanup(cls.deployment.close)
        dist = cls.deployment.home / "dist"
        dist.mkdir()
        shutil.copy(cls.deployment.home / "control-plane-arm64.zip", dist)
        (cls.deployment.root / "terraform.tfvars").write_text(cls.tfvars)
        shutil.copy(PREVIOUS, cls.deployment.state)
        # The functions run the code that this version's archive had.
        cls.deployment.remember_functions()
        cls.plan = cls.deployment.plan()
        cls.deployment.apply()

    def held(self, text: str) -> set[str]:
        """The addresses in a state, as the version before had them."""
        found = set()
        for resource in json.loads(text)["resources"]:
            if resource["mode"] != "managed":
                continue
            module = f"{resource['module']}." if "module" in resource else ""
            for instance in resource["instances"]:
                key = instance.get("index_key")
                found.add(f"{module}{resource['type']}.{resource['name']}" + ("" if key is None else f'["{key}"]'))
        return {address.removeprefix(self.prefix) for address in found}

    def test_nothing_that_matters_is_deleted_or_replaced(self):
        deleted = {change["address"]: change["type"] for change in self.plan["resource_changes"] if "delete" in change["change"]["actions"]}
        self.assertEqual({address for address, kind in deleted.items() if kind not in MAY_GO}, set())

    def test_what_leaves_the_state_stays_at_aws(self):
        forgotten = {address for address, actions in changes(self.plan).items() if actions == ["forget"]}
        self.assertEqual({address.removeprefix(self.prefix) for address in forgotten}, STAYS)

    def test_everything_else_keeps_its_place_or_is_moved(self):
        before, after = self.held(PREVIOUS.read_text()), self.held(self.deployment.state.read_text())
        moved = {change["previous_address"] for change in self.plan["resource_changes"] if "previous_address" in change}
        gone = before - after - moved - STAYS
        self.assertEqual({address for address in gone if not any(f".{kind}." in address for kind in MAY_GO)}, set())

    def test_nothing_is_created_beside_what_was_there(self):
        before = self.held(PREVIOUS.read_text())
        created = {address.removeprefix(self.prefix) for address, actions in changes(self.plan).items() if actions == ["create"]}
        self.assertNotEqual(created, set())
        self.assertEqual(created & before, set())

    def test_what_holds_data_or_an_address_is_untouched_except_its_tags_and_indexes(self):
        may_differ = {"tags", "tags_all", "global_secondary_index"}
        kinds = {"aws_api_gateway_rest_api", "aws_dynamodb_table", "aws_secretsmanager_secret", "aws_sqs_queue", "aws_kms_key", "aws_vpc"}
        seen = set()
        for change in self.plan["resource_changes"]:
            if change["mode"] == "managed" and change["type"] in kinds and change["change"]["before"]:
                seen.add(change["type"])
                before, after = change["change"]["before"], change["change"]["after"]
                differing = {name for name in before if before[name] != after.get(name, before[name])}
                self.assertLessEqual(differing, may_differ, change["address"])
        self.assertEqual(seen, kinds)

    def test_tags_stay_at_aws(self):
        for change in self.plan["resource_changes"]:
            before, after = change["change"]["before"], change["change"]["after"]
            if change["mode"] == "managed" and before and after and before.get("tags_all"):
                self.assertLessEqual(before["tags_all"].items(), after["tags_all"].items(), change["address"])

    def test_the_plan_after_it_is_empty(self):
        self.assertEqual(changes(self.deployment.plan()), {})


class UpgradeIntoARootModule(Upgrade):
    """Its state is copied into the example, whose `moved` blocks lead into the module that it calls."""

    root, prefix = "examples/minimal", "module.ecsrunner."
    tfvars = TFVARS

    def test_each_resource_is_moved_into_the_module(self):
        moved = {change["address"]: change["previous_address"] for change in self.plan["resource_changes"] if "previous_address" in change}
        self.assertGreater(len(moved), 80)
        for address, before in moved.items():
            self.assertTrue(address.startswith(self.prefix) and not before.startswith(self.prefix), address)


class UpgradeThatKeepsTheAccessLog(Upgrade):
    """It asks for what was the default: a log role of its own."""

    tfvars = TFVARS + PACKAGE + 'webhook = { account_log_role = "own" }\n'

    def test_the_account_gets_another_role_and_the_log_goes_on(self):
        planned = {change["address"]: change["change"] for change in self.plan["resource_changes"]}
        self.assertEqual(planned['module.webhook.aws_api_gateway_account.own["own"]']["actions"], ["create"])
        before, after = (self.plan_of_role(planned, side) for side in ("before", "after"))
        self.assertNotEqual(before, after)
        stage = planned["module.webhook.aws_api_gateway_stage.v1"]
        self.assertEqual(len(stage["after"]["access_log_settings"]), 1)
        self.assertEqual(stage["before"]["access_log_settings"], stage["after"]["access_log_settings"])

    def plan_of_role(self, planned: dict, side: str) -> str:
        """The name of the role: the one that leaves the state, and the new one."""
        resource = {"before": "account_logs", "after": "apigateway_logs"}[side]
        return planned[f'module.webhook.aws_iam_role.{resource}["own"]'][side]["name"]


if __name__ == "__main__":
    unittest.main()
