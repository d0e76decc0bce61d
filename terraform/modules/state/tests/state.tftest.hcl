# Tests the tables against the store, the secrets, and that each invalid value is refused.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-boot" }
  }
}

variables {
  deployment = "ci"
  boot_roles = {
    control_plane = "arn:aws:iam::123456789012:role/ecsrunner-ci-control-plane"
    tasks         = ["arn:aws:iam::123456789012:role/ecsrunner-ci-task", "arn:aws:iam::123456789012:role/ecsrunner-ci-task-exec"]
  }
}

run "the_state_table_is_what_the_store_expects" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.state.name == "ecsrunner-ci-state" && aws_dynamodb_table.state.hash_key == "pk" && aws_dynamodb_table.state.range_key == "sk" && aws_dynamodb_table.state.billing_mode == "PAY_PER_REQUEST"
    error_message = "name, keys or billing differ"
  }
  assert {
    condition     = { for index in aws_dynamodb_table.state.global_secondary_index : index.name => "${join(" ", [for key in index.key_schema : "${key.key_type} ${key.attribute_name}"])} ${index.projection_type}" } == { by_month = "HASH month RANGE ended_at ALL", by_repository = "HASH repository RANGE ended_at ALL", by_runner = "HASH runner RANGE ended_at ALL" }
    error_message = "the indexes differ from crates/aws/src/store/item.rs"
  }
  assert {
    condition     = { for attribute in aws_dynamodb_table.state.attribute : attribute.name => attribute.type } == { pk = "S", sk = "S", month = "S", repository = "S", runner = "S", ended_at = "N" }
    error_message = "the attributes differ from crates/aws/src/store/tables.rs"
  }
  assert {
    condition     = aws_dynamodb_table.state.ttl[0].enabled && aws_dynamodb_table.state.ttl[0].attribute_name == "expires_at"
    error_message = "history does not expire"
  }
  assert {
    condition     = aws_dynamodb_table.state.point_in_time_recovery[0].enabled && aws_dynamodb_table.state.deletion_protection_enabled
    error_message = "recovery or deletion protection is off by default"
  }
  assert {
    condition     = length(aws_dynamodb_table.state.server_side_encryption) == 0
    error_message = "the default key is not AWS's own"
  }
}

run "the_store_spells_them_so" {
  command = plan

  # Reads the source file, so that neither side can change alone.
  assert {
    condition = alltrue([
      for name in concat(
        [for attribute in aws_dynamodb_table.state.attribute : attribute.name],
        [for index in aws_dynamodb_table.state.global_secondary_index : index.name],
        [aws_dynamodb_table.state.ttl[0].attribute_name],
      ) : strcontains(file("../../../crates/aws/src/store/item.rs"), "${upper(name)}: &str = \"${name}\";")
    ])
    error_message = "a key or an index has another name in crates/aws/src/store/item.rs"
  }
}

run "the_boot_table_is_keyed_by_its_owner_and_never_restored" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.boot.name == "ecsrunner-ci-boot" && aws_dynamodb_table.boot.hash_key == "owner" && aws_dynamodb_table.boot.range_key == null
    error_message = "the boot table's key is not `owner` only"
  }
  assert {
    condition     = aws_dynamodb_table.boot.ttl[0].enabled && aws_dynamodb_table.boot.ttl[0].attribute_name == "expires_at"
    error_message = "boot items do not expire"
  }
  assert {
    condition     = !aws_dynamodb_table.boot.point_in_time_recovery[0].enabled && aws_dynamodb_table.boot.deletion_protection_enabled
    error_message = "the boot table has backups, or no deletion protection"
  }
}

run "nobody_may_read_or_copy_a_boot_item" {
  assert {
    condition     = aws_dynamodb_resource_policy.boot.resource_arn == aws_dynamodb_table.boot.arn && aws_dynamodb_resource_policy.boot.policy == data.aws_iam_policy_document.boot.json
    error_message = "the boot table does not have the policy"
  }
  # Everything that returns an item or copies the table, as DynamoDB names its actions. A pattern may cover one.
  assert {
    condition = [
      for action in [
        "BatchGetItem", "ConditionCheckItem", "CreateBackup", "EnableKinesisStreamingDestination", "ExportTableToPointInTime", "GetItem",
        "PartiQLDelete", "PartiQLInsert", "PartiQLSelect", "PartiQLUpdate", "Query", "RestoreTableToPointInTime", "Scan", "StartAwsBackupJob",
        "UpdateContinuousBackups", "UpdateItem", "UpdateKinesisStreamingDestination",
      ] : action
      if length([
        for statement in data.aws_iam_policy_document.boot.statement : statement
        if statement.effect == "Deny" && length(statement.condition) == 0 && statement.resources == toset([aws_dynamodb_table.boot.arn])
        && anytrue([for who in statement.principals : who.type == "*" && who.identifiers == toset(["*"])])
        && anytrue([for pattern in statement.actions : can(regex("^${replace(pattern, "*", ".*")}$", "dynamodb:${action}"))])
      ]) == 0
    ] == []
    error_message = "an action that reads or copies is not denied to everybody without a condition"
  }
}

run "only_our_own_roles_may_write_and_take_a_boot_item" {
  assert {
    condition = { for statement in data.aws_iam_policy_document.boot.statement : join(" ", statement.actions) => flatten([for condition in statement.condition : [condition.test, condition.variable, sort(condition.values)]]) if length(statement.condition) > 0 } == {
      "dynamodb:PutItem"    = ["ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/ecsrunner-ci-control-plane"]
      "dynamodb:DeleteItem" = ["ArnNotEquals", "aws:PrincipalArn", "arn:aws:iam::123456789012:role/ecsrunner-ci-control-plane", "arn:aws:iam::123456789012:role/ecsrunner-ci-task", "arn:aws:iam::123456789012:role/ecsrunner-ci-task-exec"]
    }
    error_message = "PutItem is for the control plane alone, and DeleteItem for it and the tasks"
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.boot.statement : statement.effect == "Deny"])
    error_message = "the policy must grant nothing"
  }
}

run "the_boot_tables_policy_does_not_lock_terraform_out" {
  assert {
    condition = [
      for action in [
        "DeleteResourcePolicy", "DeleteTable", "DescribeContinuousBackups", "DescribeTable", "DescribeTimeToLive", "GetResourcePolicy",
        "ListTagsOfResource", "PutResourcePolicy", "TagResource", "UntagResource", "UpdateTable", "UpdateTimeToLive",
      ] : action
      if anytrue([
        for pattern in flatten([for statement in data.aws_iam_policy_document.boot.statement : tolist(statement.actions)]) :
        can(regex("^${replace(pattern, "*", ".*")}$", "dynamodb:${action}"))
      ])
    ] == []
    error_message = "an action that Terraform needs is denied"
  }
}

run "the_boot_tables_policy_leaves_our_roles_what_they_are_granted" {
  # Reads the roles' policies, so that neither side can change alone.
  assert {
    condition = toset(flatten([
      for found in concat(
        regexall("actions += \\[([^\\]]*)\\]\\s+resources = \\[var[.]tables[.]boot[.]arn\\]", file("../control_plane/iam.tf")),
        regexall("actions += \\[([^\\]]*)\\]\\s+resources = \\[var[.]boot_table[.]arn\\]", file("../fleet/iam.tf")),
      ) : jsondecode("[${found[0]}]")
      ])) == toset(flatten([
      for statement in data.aws_iam_policy_document.boot.statement : tolist(statement.actions) if length(statement.condition) > 0
    ]))
    error_message = "a role is granted an action that the boot table's policy denies it, or the policy excepts one that no role needs"
  }
}

run "a_pattern_instead_of_a_role_is_refused" {
  command = plan
  variables {
    boot_roles = { control_plane = "arn:aws:iam::123456789012:role/ecsrunner-ci-control-plane", tasks = ["arn:aws:iam::123456789012:role/*"] }
  }
  expect_failures = [var.boot_roles]
}

run "a_key_of_ones_own_serves_state_and_secrets_but_not_the_boot_table" {
  command = plan

  variables {
    kms_key_arn            = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    deletion_protection    = false
    point_in_time_recovery = false
  }

  assert {
    condition     = aws_dynamodb_table.state.server_side_encryption[0].kms_key_arn == var.kms_key_arn && aws_secretsmanager_secret.webhook.kms_key_id == var.kms_key_arn && aws_secretsmanager_secret.github.kms_key_id == var.kms_key_arn
    error_message = "the key is not used"
  }
  assert {
    condition     = length(aws_dynamodb_table.boot.server_side_encryption) == 0
    error_message = "the boot table uses the key, but a task's role may not decrypt"
  }
  assert {
    condition     = !aws_dynamodb_table.state.deletion_protection_enabled && !aws_dynamodb_table.boot.deletion_protection_enabled && !aws_dynamodb_table.state.point_in_time_recovery[0].enabled
    error_message = "the switches have no effect"
  }
}

run "terraform_stores_no_webhook_secret_by_default" {
  command = plan

  assert {
    condition     = length(aws_secretsmanager_secret_version.given) == 0 && length(regexall("resource \"aws_secretsmanager_secret_version\"", file("main.tf"))) == 1
    error_message = "a value would be in Terraform's state, and an apply could replace what `ecsrunner setup` stored"
  }
  assert {
    condition     = aws_secretsmanager_secret.webhook.name == "ecsrunner/ci/webhook" && aws_secretsmanager_secret.github.name == "ecsrunner/ci/github" && aws_secretsmanager_secret.github.recovery_window_in_days == 7
    error_message = "the names of the secrets differ"
  }
}

run "given_secrets_are_kept_as_a_list" {
  command = apply

  variables {
    webhook_secrets = ["new-secret-0123456789", "old-secret-0123456789"]
  }

  assert {
    condition     = nonsensitive(aws_secretsmanager_secret_version.given["webhook"].secret_string) == jsonencode(["new-secret-0123456789", "old-secret-0123456789"])
    error_message = "a JSON list of the given secrets is expected"
  }
}

run "terraform_never_writes_githubs_credentials" {
  command = plan

  assert {
    condition     = aws_secretsmanager_secret.github.name == "ecsrunner/ci/github" && !strcontains(file("main.tf"), "aws_secretsmanager_secret.github")
    error_message = "something in main.tf uses the secret of GitHub's credentials"
  }
}

run "a_deployment_name_with_a_dot_is_refused" {
  command = plan
  variables {
    deployment = "ci.main"
  }
  expect_failures = [var.deployment]
}

run "a_recovery_window_that_aws_refuses_is_refused" {
  command = plan
  variables {
    secret_recovery_window_days = 3
  }
  expect_failures = [var.secret_recovery_window_days]
}

run "no_webhook_secret_at_all_is_refused" {
  command = plan
  variables {
    webhook_secrets = []
  }
  expect_failures = [var.webhook_secrets]
}

run "a_short_webhook_secret_is_refused" {
  command = plan
  variables {
    webhook_secrets = ["hunter2"]
  }
  expect_failures = [var.webhook_secrets]
}

run "a_webhook_secret_with_a_line_end_is_refused" {
  command = plan
  variables {
    webhook_secrets = ["0123456789abcdef\n"]
  }
  expect_failures = [var.webhook_secrets]
}
