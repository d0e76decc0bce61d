"""Tests that the checks find mistakes: `python3 -m unittest discover xtask/terraform`."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import access
import actions
import addresses
import examples
import inputs
import metrics
import plan
import readme
import tags


def statement(*names, **more):
    return {"sid": {"constant_value": "S"}, "actions": {"constant_value": list(names)}, **more}


def document(*statements, name="functions", **more):
    address = f"data.aws_iam_policy_document.{name}"
    return {"address": address, "type": "aws_iam_policy_document", "expressions": {"statement": list(statements), **more}}


def attached(name="functions", role="functions"):
    policy = {"references": [f"data.aws_iam_policy_document.{name}.json", f"data.aws_iam_policy_document.{name}"]}
    return {
        "address": f"aws_iam_role_policy.{name}",
        "type": "aws_iam_role_policy",
        "expressions": {"role": {"references": [f"aws_iam_role.{role}.id", f"aws_iam_role.{role}"]}, "policy": policy},
    }


def control_plane(*resources):
    inner = {"module_calls": {"control_plane": {"module": {"resources": list(resources)}}}}
    return {"configuration": {"root_module": {"module_calls": {"ecsrunner": {"module": inner}}}}}


class Actions(unittest.TestCase):
    called = {"ecs:RunTask"}
    listed = {("functions", "iam:PassRole")}

    def mistakes(self, *names, called=None, listed=None):
        terraform = control_plane(document(statement(*names)), attached())
        return actions.check(terraform, self.called if called is None else called, self.listed if listed is None else listed)[0]

    def test_what_is_called_or_listed_is_right(self):
        self.assertEqual(self.mistakes("ecs:RunTask", "iam:PassRole"), [])

    def test_a_call_that_is_not_granted(self):
        self.assertEqual(self.mistakes("iam:PassRole"), ["ecs:RunTask is called, but not granted: add it to iam.tf"])

    def test_a_grant_that_nobody_calls(self):
        self.assertEqual(
            self.mistakes("ecs:RunTask", "iam:PassRole", "ecs:StopTask"),
            ["ecs:StopTask is granted to `functions`, but neither called nor listed in granted.md"],
        )

    def test_a_reason_for_nothing(self):
        self.assertEqual(self.mistakes("ecs:RunTask"), ["iam:PassRole is listed in granted.md for `functions`, but not granted"])

    def test_a_reason_for_what_is_called(self):
        needless = self.mistakes("ecs:RunTask", "iam:PassRole", listed={("functions", "ecs:RunTask"), *self.listed})
        self.assertEqual(needless, ["ecs:RunTask is listed in granted.md, but called by the tests: remove it from granted.md"])

    def test_a_star_is_never_right(self):
        self.assertIn("ecs:* is granted to `functions`: name each action without `*`", self.mistakes("ecs:RunTask", "iam:PassRole", "ecs:*"))

    def test_a_transaction_asks_for_its_writes_and_checks(self):
        missing = self.mistakes("dynamodb:PutItem", called={actions.TRANSACTION, "dynamodb:PutItem"}, listed=set())
        self.assertEqual([mistake.split()[0] for mistake in missing], sorted(actions.OF_A_TRANSACTION - {"dynamodb:PutItem"}))

    def test_another_roles_grant_is_not_the_functions(self):
        terraform = control_plane(document(statement("iam:PassRole")), attached(), document(statement("ecs:RunTask"), name="scheduler"), attached("scheduler", "scheduler"))
        mistakes, _ = actions.check(terraform, self.called, self.listed)
        self.assertEqual(len(mistakes), 2)

    def test_what_cannot_be_read_is_no_pass(self):
        by_reference = {"sid": {"constant_value": "S"}, "actions": {"references": ["local.actions"]}}
        for resources in (
            [document(by_reference), attached()],
            [document(), attached()],
            [document(statement("ecs:RunTask"), source_policy_documents={}), attached()],
            [document(statement("ecs:RunTask"))],
            [document(statement("ecs:RunTask")), attached(), {"address": "x", "type": "aws_iam_role_policy_attachment", "expressions": {}}],
            [document(statement("ecs:RunTask")), attached(), {"address": "x", "type": "aws_iam_role", "expressions": {"managed_policy_arns": {}}}],
        ):
            with self.assertRaises(plan.Unreadable):
                actions.check(control_plane(*resources), self.called, self.listed)

    def test_the_files_are_read(self):
        self.assertIn("ecs:RunTask", actions.called(actions.CALLED.read_text()))
        self.assertIn(("functions", "iam:PassRole"), actions.listed(actions.LISTED.read_text()))
        self.assertEqual(actions.listed("| `a:B` | functions |  |"), set())


class Access(unittest.TestCase):
    called = {"ecs:DescribeTasks", "ecs:ExecuteCommand", "secretsmanager:GetSecretValue"}
    reasons = ({("viewer", "cloudwatch:GetDashboard")}, {"secretsmanager:GetSecretValue"})
    viewer = ["ecs:DescribeTasks", "cloudwatch:GetDashboard"]
    operator = ["ecs:ExecuteCommand"]
    # Of the documents that depend on an input.
    conditional = {("viewer", "kms:Decrypt"), ("viewer", "codebuild:BatchGetBuilds"), ("operator", "codebuild:StartBuild")}

    def mistakes(self, viewer=(), operator=(), called=None, code=frozenset(), reasons=None):
        documents = [document(statement("kms:Decrypt"), name="viewer_kms")]
        documents += [document(statement("codebuild:BatchGetBuilds"), name="viewer_builds"), document(statement("codebuild:StartBuild"), name="operator_builds")]
        documents += [document(statement(*self.viewer, *viewer), name="viewer"), document(statement(*self.operator, *operator), name="operator")]
        module = {"module_calls": {"access": {"module": {"resources": documents}}}}
        terraform = {"configuration": {"root_module": {"module_calls": {"ecsrunner": {"module": module}}}}}
        granted, withheld = reasons or self.reasons
        lists = (self.called if called is None else called, code, (granted | self.conditional, withheld))
        return access.check(terraform, *lists)[0]

    def test_what_is_called_or_has_a_reason_is_right(self):
        self.assertEqual(self.mistakes(), [])

    def test_a_call_that_nobody_may_make(self):
        called = self.called | {"ecs:ListTasks"}
        self.assertEqual(self.mistakes(called=called), ["ecs:ListTasks is called, but neither granted nor withheld"])
        self.assertEqual(self.mistakes(code={"ecs:ListTasks"}), ["ecs:ListTasks is called by the code, but not in docs/operate.md"])

    def test_a_grant_without_a_reason(self):
        told = "iam:PassRole is granted to `operator`, but neither called nor in granted.md"
        self.assertEqual(self.mistakes(operator=["iam:PassRole"]), [told])

    def test_a_reason_for_nothing(self):
        told = "iam:PassRole is in granted.md for `operator`, but is not granted, or is called"
        self.assertEqual(self.mistakes(reasons=(self.reasons[0] | {("operator", "iam:PassRole")}, self.reasons[1])), [told])

    def test_a_secret_that_is_withheld_and_granted(self):
        told = "secretsmanager:GetSecretValue is withheld, but granted or not called"
        self.assertEqual(self.mistakes(operator=["secretsmanager:GetSecretValue"]), [told])

    def test_a_viewer_who_writes(self):
        self.assertEqual(self.mistakes(viewer=["ecs:ExecuteCommand"]), ["ecs:ExecuteCommand is granted to the viewer, but is no read"])

    def test_the_files_are_read(self):
        text = "## What an operator may do\n| `why` | `ecs:DescribeTasks`; `dynamodb:Query` |\n\n`sqs:SendMessage`\n\n## Next\n| `x:Y` |\n"
        self.assertEqual(access.documented("\n" + text), {"ecs:DescribeTasks", "dynamodb:Query"})
        self.assertEqual(access.named(['const A: &str = "ecs:ListTasks"; "ecsrunner:runner"']), {"ecs:ListTasks"})
        table = "| `a:Bc` | viewer | x |\n| `d:Ef` | viewer | |\n| `g:Hi` | y |\n| `j:Kl` | |\n"
        self.assertEqual(access.reasons(table), ({("viewer", "a:Bc")}, {"g:Hi"}))


class Metrics(unittest.TestCase):
    text = "| `JobsStuck` | level | x |\n| `Cost` | dollars | x |\n\nWhat should wake a person: `JobsStuck` above 0.\n"

    def mistakes(self, alarms, shown, text=None):
        lines = [["ecsrunner", name, *[word for pair in dimensions.items() for word in pair], {"stat": "Sum"}] for name, dimensions in shown]
        body = json.dumps({"widgets": [{"properties": {"metrics": lines}}, {"properties": {"query": "x"}}]})
        resources = [{"type": "aws_cloudwatch_metric_alarm", "values": {"namespace": "ecsrunner", "metric_name": name, "dimensions": dimensions}} for name, dimensions in alarms]
        resources.append({"type": "aws_cloudwatch_dashboard", "values": {"dashboard_body": body}})
        terraform = {"planned_values": {"root_module": {"child_modules": [{"resources": resources}]}}}
        return metrics.check(terraform, text or self.text)[0]

    own = {"Deployment": "ci"}

    def test_what_is_documented_is_right(self):
        self.assertEqual(self.mistakes([("JobsStuck", self.own)], [("JobsStuck", self.own), ("Cost", self.own)]), [])

    def test_a_name_that_is_not_documented(self):
        mistakes = self.mistakes([("JobsStuck", self.own), ("JobStuck", self.own)], [("JobsStuck", self.own), ("Cost", self.own), ("Costs", self.own)])
        self.assertEqual(mistakes, [
            "an alarm reads `JobStuck`, which is not in docs/metrics.md",
            "the dashboard reads `Costs`, which is not in docs/metrics.md",
        ])

    def test_another_dimension(self):
        mistakes = self.mistakes([("JobsStuck", {"Class": "small"})], [("JobsStuck", self.own), ("Cost", {})])
        self.assertEqual(len(mistakes), 2)

    def test_what_nobody_sees_or_hears_of(self):
        mistakes = self.mistakes([("Cost", self.own)], [("JobsStuck", self.own)])
        self.assertEqual(mistakes, ["`Cost` is emitted, but not on the dashboard", "`JobsStuck` should have an alarm, but has none"])

    def test_what_the_document_leaves_out_of_the_dashboard(self):
        text = self.text + "\n\nMetrics on no graph: `Cost`.\n\n`JobsStuck` is on one.\n"
        self.assertEqual(self.mistakes([("JobsStuck", self.own)], [("JobsStuck", self.own)], text=text), [])

    def test_what_cannot_be_read_is_no_pass(self):
        with self.assertRaises(plan.Unreadable):
            self.mistakes([], [("JobsStuck", self.own)])
        with self.assertRaises(plan.Unreadable):
            self.mistakes([("JobsStuck", self.own)], [("JobsStuck", self.own)], text="| `JobsStuck` | level | x |")

    def test_the_document_is_read(self):
        text = metrics.DOCUMENT.read_text()
        self.assertGreater(len(metrics.documented(text)), 30)
        self.assertLess(metrics.woken_for(text), metrics.documented(text))


class Readme(unittest.TestCase):
    readme = """
## Inputs

| input | default | what |
| --- | --- | --- |
| `deployment` | required | x |
| `tags` | none | x |

## Outputs

| output | what |
| --- | --- |
| `webhook_url` | x |

## What an idle month costs

| what | USD |
| --- | --- |
| a | 0.10 |
| b | 0.20 |
| **together** | **0.30** |
"""
    variables = 'variable "deployment" {\n  type = string\n}\n\nvariable "tags" {\n  default     = {}\n}\n'
    outputs = 'output "webhook_url" {\n}\n'

    def mistakes(self, before="", after=""):
        return readme.check(self.readme.replace(before, after) if before else self.readme, self.variables, self.outputs)

    def test_what_is_the_same_is_right(self):
        self.assertEqual(self.mistakes(), [])

    def test_what_is_not_the_same(self):
        for before, after in (("| `tags` | none | x |\n", ""), ("| none |", "| required |"), ("`webhook_url`", "`url`"), ("**0.30**", "**0.31**")):
            self.assertEqual(len(self.mistakes(before, after)), 1, before)

    costs = {
        "readme": "\n## What an idle month costs\n\n| item | amount | price | USD |\n| --- | --- | --- | --- |\n"
        "| ecsrunner's metrics that an idle sweep sends | 1 | x | 0.30 |\n| Alarms | 3 | x | 0.30 |\n| **total** | | | **0.60** |\n\nup to\n0.60 for the other 2 metrics\n",
        "first": "An idle month costs about\n0.60 dollars.",
        "alarms": 'locals {\n  alarms = {\n    a = {\n    }\n    b-c = {\n    }\n  }\n}\n\nresource "aws_cloudwatch_metric_alarm" "alarms" {\n}\n\n'
        'resource "aws_cloudwatch_metric_alarm" "own" {\n}\n',
        "metrics": "| metric | kind | meaning |\n| --- | --- | --- |\n| `A` | level | x |\n| `B` | level | x; only sent while there are any |\n| `C` | count | x |\n",
    }

    def test_what_is_counted_right(self):
        self.assertEqual(readme.idle_costs(**self.costs), [])

    def test_what_is_counted_wrong(self):
        for name, before, after in (
            ("readme", "| Alarms | 3", "| Alarms | 2"),
            ("readme", "the other 2", "the other 3"),
            ("first", "0.60", "0.50"),
            ("alarms", "b-c = {", "b-c = "),
        ):
            self.assertEqual(len(readme.idle_costs(**self.costs | {name: self.costs[name].replace(before, after)})), 1, before)

    def test_an_input_that_the_example_does_not_check_or_pass_on(self):
        variables = 'variable "region" {\n}\n\nvariable "tags" {\n}\n'
        example = {"main.tf": "  tags = module.inputs.checked.tags\n", "inputs.tf": "    tags = var.tags\n", "variables.tf": variables}
        self.assertEqual(readme.passed_on(variables, example), [])
        for name, before, after in (
            ("main.tf", "tags = module.inputs.checked.tags", ""),
            ("main.tf", "module.inputs.checked.tags", "var.tags"),
            ("inputs.tf", "tags = var.tags", ""),
            ("variables.tf", 'variable "tags" {', ""),
        ):
            found = readme.passed_on(variables, example | {name: example[name].replace(before, after)})
            self.assertEqual(found, ["examples/minimal does not check and pass on tags: inputs.tf and main.tf need each input"])

    def test_an_output_or_a_module_that_an_example_lacks(self):
        outputs, root = 'output "alarms" {\n}\n', 'module "state" {\n}\n\nmodule "access" {\n}\n'
        example = {"outputs.tf": "  value = module.ecsrunner.alarms\n", "moved.tf": "  from = module.state\n  to   = module.ecsrunner.module.state\n"}
        self.assertEqual(readme.in_examples(outputs, root, {"state"}, {"minimal": example}), [])
        for name, before in (("outputs.tf", "alarms"), ("moved.tf", "from = module.state"), ("moved.tf", ".module.state")):
            broken = {"minimal": example, "complete": example | {name: example[name].replace(before, "x")}}
            found = readme.in_examples(outputs, root, {"state"}, broken)
            self.assertEqual([mistake.split(":")[0] for mistake in found], ["examples/complete"], before)
        self.assertEqual(len(readme.in_examples(outputs, root, {"state", "access"}, {"minimal": example})), 1)


class Inputs(unittest.TestCase):
    variables = """variable "tags" {
  type    = map(string)
  default = {}
}

variable "limits" {
  description = "x"
  type = object({
    count = number
    paces = optional(object({ github = optional(object({ burst = number, rate = optional(number, 1) })) }), {})
    names = optional(list(string), ["a"])
  })
}

variable "webhook_secrets" {
  type = list(string)
}
"""
    types = {
        "tags": "map?",
        "tags.*": "string",
        "limits": "object?",
        "limits.count": "number",
        "limits.paces": "object?",
        "limits.paces.github": "object?",
        "limits.paces.github.burst": "number",
        "limits.paces.github.rate": "number?",
        "limits.names": "list?",
        "limits.names.*": "string",
    }
    walk = "".join(f"  level_{level} = x\n" for level in (1, 2, 3, 4))

    def test_types_are_read(self):
        self.assertEqual(inputs.types(self.variables), self.types)
        self.assertEqual(inputs.check(self.variables, self.types, self.walk), [])

    def test_a_type_that_differs_and_a_level_too_few(self):
        for have in (self.types | {"limits.count": "string"}, self.types | {"more": "string"}):
            self.assertEqual(len(inputs.check(self.variables, have, self.walk)), 1)
        self.assertEqual(len(inputs.check(self.variables, self.types, self.walk.replace("_4", ""))), 1)

    def test_a_type_that_is_not_known_is_no_pass(self):
        with self.assertRaises(plan.Unreadable):
            inputs.parsed("set(string)")

    def test_a_message_with_a_name_of_the_module(self):
        def mistakes(message, variable="settings"):
            text = f'variable "{variable}" {{\n  validation {{\n    error_message = "{message}"\n  }}\n}}\n'
            return inputs.named(self.types, {"parameters": text})

        self.assertEqual(mistakes("limits.count is 1") + mistakes("limits: x") + mistakes("facts.x is 1", "facts"), [])
        for message in ("count is 1", "settings.count is 1", "facts.x is 1", "limits.counts is 1"):
            self.assertEqual(len(mistakes(message)), 1, message)


class Addresses(unittest.TestCase):
    old = {"minimal": ["aws_a.x", 'module.image["default"].aws_b.y["key"]']}

    def mistakes(self, *now, **moves):
        """`root` is the example itself, any other name a module that it calls."""
        moves = {"" if module == "root" else f"module.{module}": addresses.blocks(text) for module, text in moves.items()}
        return addresses.check(self.old, {"minimal": list(now)}, {"minimal": moves})

    def test_what_stays_is_right(self):
        self.assertEqual(self.mistakes("aws_new.z", *self.old["minimal"]), [])

    def test_what_is_gone_is_named(self):
        self.assertEqual(
            self.mistakes("aws_a.x"),
            ['minimal: `module.image["default"].aws_b.y["key"]` no longer exists: a `moved` or `removed` block is expected'],
        )

    def test_blocks_of_the_root_and_of_a_module_move_and_remove(self):
        renamed = "moved {\n  from = aws_b.y\n  to   = aws_b.z\n}\n"
        self.assertEqual(self.mistakes("aws_a.x", 'module.image["default"].aws_b.z["key"]', image=renamed), [])
        self.assertEqual(len(self.mistakes("aws_a.x", 'module.image["default"].aws_b.z["key"]', fleet=renamed)), 1)
        module = 'moved {\n  from = module.image\n  to = module.runner\n}\n\nremoved {\n  from = aws_a.x\n}\n'
        self.assertEqual(self.mistakes('module.runner["default"].aws_b.y["key"]', root=module), [])

    def test_a_block_of_a_module_applies_to_what_was_moved_into_it(self):
        into = "moved {\n  from = module.image\n  to = module.ecsrunner.module.image\n}\n\nremoved {\n  from = aws_a.x\n}\n"
        removed = addresses.blocks("removed {\n  from = aws_b.y\n}\n")
        moves = {"": addresses.blocks(into), "module.ecsrunner.module.image": removed}
        self.assertEqual(addresses.check(self.old, {"minimal": []}, {"minimal": moves}), [])
        self.assertEqual(len(addresses.check(self.old, {"minimal": []}, {"minimal": moves | {"": []}})), 2)

    def test_a_block_that_leads_nowhere_moves_nothing(self):
        circle = "moved {\n  from = aws_a.x\n  to = aws_a.y\n}\nmoved {\n  from = aws_a.y\n  to = aws_a.x\n}\n"
        self.assertEqual(len(self.mistakes(self.old["minimal"][1], root=circle)), 1)

    def test_what_is_removed_on_purpose_was_there_and_has_a_reason(self):
        before = [address for lists in json.loads(addresses.PREVIOUS.read_text()).values() for address in lists]
        for address, reason in addresses.ON_PURPOSE.items():
            self.assertIn(address, before)
            self.assertTrue(reason)

    def test_a_plan_that_is_missing_is_no_pass(self):
        with self.assertRaises(plan.Unreadable):
            examples.only(['{"type": "test_status"}'])


class Tags(unittest.TestCase):
    taggable = {"aws_a"}

    def mistakes(self, *resources):
        planned = {"resource_changes": [
            {"address": f"{kind}.x", "type": kind, "mode": "managed", "change": {"after": values}} for kind, values in resources
        ]}
        return tags.check({"minimal": planned}, self.taggable)[0]

    own = {"tags": {"ecsrunner:deployment": "ci"}}

    def test_a_tagged_resource_and_one_that_cannot_be_tagged_are_right(self):
        self.assertEqual(self.mistakes(("aws_a", self.own), ("aws_b", {})), [])

    def test_a_resource_without_the_tag_is_named(self):
        told = "minimal: `aws_a.x` has no tag `ecsrunner:deployment`: `tags = var.tags` is expected"
        for values in ({}, {"tags": None}, {"tags": {"team": "platform"}}):
            self.assertEqual(self.mistakes(("aws_a", self.own), ("aws_a", values)), [told])

    def test_a_plan_without_a_taggable_resource_is_no_pass(self):
        with self.assertRaises(plan.Unreadable):
            self.mistakes(("aws_b", {}))

    def test_the_types_are_those_with_an_argument(self):
        schema = {"aws_a": {"tags": {"optional": True}}, "aws_b": {"arn": {"computed": True}}, "aws_c": {"tags": {"computed": True}}}
        schema = {kind: {"block": {"attributes": attributes}} for kind, attributes in schema.items()}
        self.assertEqual(tags.taggable({"provider_schemas": {tags.PROVIDER: {"resource_schemas": schema}}}), {"aws_a"})


if __name__ == "__main__":
    unittest.main()
