# Tests what people may see and change. The actions are compared with the commands by xtask/terraform/access.py.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
}

variables {
  cluster          = { arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci" }
  state_table      = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-state" }
  parameter_arns   = ["arn:aws:ssm:eu-west-1:123456789012:parameter/ecsrunner/ci/deployment", "arn:aws:ssm:eu-west-1:123456789012:parameter/ecsrunner/ci/paused"]
  paused_arn       = "arn:aws:ssm:eu-west-1:123456789012:parameter/ecsrunner/ci/paused"
  kicks_queue      = { arn = "arn:aws:sqs:eu-west-1:123456789012:ecsrunner-ci-kicks" }
  dead_letter_arns = ["arn:aws:sqs:eu-west-1:123456789012:ecsrunner-ci-events-dead"]
  log_groups       = ["/ecsrunner/ci/runners"]
  dashboard_name   = "ecsrunner-ci"

  questions_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:ecsrunner-ci-questions"
}

run "a_viewer_changes_nothing_and_reads_no_secret" {
  assert {
    condition = alltrue([
      for action in flatten([for statement in data.aws_iam_policy_document.viewer.statement : tolist(statement.actions)]) :
      (can(regex("^[a-z0-9]+:(BatchGet|Describe|Filter|Get|List|Query)[A-Za-z]*$", action)) && !startswith(action, "secretsmanager:")) || action == "lambda:InvokeFunction"
    ])
    error_message = "a viewer may do something other than read, or read secrets"
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.viewer.statement : tolist(statement.resources) == tolist([var.questions_function_arn]) if contains(statement.actions, "lambda:InvokeFunction")])
    error_message = "a viewer may invoke another function than the one that answers questions"
  }
  assert {
    condition     = !strcontains(jsonencode(data.aws_iam_policy_document.viewer.statement), "-boot") && !strcontains(jsonencode(data.aws_iam_policy_document.operator.statement), "-boot")
    error_message = "a policy names the boot table"
  }
  assert {
    condition = [
      for statement in data.aws_iam_policy_document.viewer.statement : statement.sid
      if contains(statement.resources, "*") && !contains(["ListTasks", "WithoutResources"], statement.sid)
    ] == []
    error_message = "a statement that could name its resources does not"
  }
  assert {
    condition     = length(data.aws_iam_policy_document.viewer_kms) == 0
    error_message = "without a key there is nothing to decrypt"
  }
  assert {
    condition     = length(data.aws_iam_policy_document.viewer_builds) == 0 && length(data.aws_iam_policy_document.operator_builds) == 0
    error_message = "without a project there are no builds"
  }
}

run "builds_of_the_image_are_read_by_viewers_and_started_by_operators" {
  variables {
    project_arns = ["arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64"]
  }

  assert {
    condition = [
      for statement in concat(data.aws_iam_policy_document.viewer_builds["builds"].statement, data.aws_iam_policy_document.operator_builds["builds"].statement) : "${join(",", sort(statement.actions))} ${join(",", statement.resources)}"
      ] == [
      "codebuild:BatchGetBuilds,codebuild:ListBuildsForProject arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64",
      "codebuild:StartBuild arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64",
    ]
    error_message = "the permissions are for this deployment's projects alone"
  }
  assert {
    condition     = contains(data.aws_iam_policy_document.viewer.source_policy_documents, data.aws_iam_policy_document.viewer_builds["builds"].json) && contains(data.aws_iam_policy_document.operator.source_policy_documents, data.aws_iam_policy_document.operator_builds["builds"].json)
    error_message = "the policies lack the permissions"
  }
}

run "an_operator_writes_only_what_the_commands_write" {
  assert {
    condition = jsonencode({
      for statement in data.aws_iam_policy_document.operator.statement : join(" ", statement.actions) => sort([for condition in statement.condition : "${condition.test} ${condition.variable} ${join(" ", condition.values)}"])
      }) == jsonencode({
      "ssm:PutParameter"    = []
      "sqs:SendMessage"     = []
      "dynamodb:PutItem"    = ["ForAllValues:StringEquals dynamodb:LeadingKeys open", "Null dynamodb:LeadingKeys false"]
      "dynamodb:DeleteItem" = ["ForAllValues:StringLike dynamodb:LeadingKeys job#*", "Null dynamodb:LeadingKeys false"]
      "dynamodb:UpdateItem" = ["ForAllValues:StringEquals dynamodb:Attributes pk sk n", "ForAllValues:StringEquals dynamodb:LeadingKeys dispatch", "Null dynamodb:LeadingKeys false"]
      "ecs:ExecuteCommand"  = ["ArnEquals ecs:cluster arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci"]
    })
    error_message = "an operator's writes are not limited to the keys that the commands write"
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.operator.statement : !contains(statement.resources, "*")])
    error_message = "an operator's write names no resource"
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.operator.statement : one(statement.resources) if statement.sid == "PauseAndResume"]) == var.paused_arn
    error_message = "an operator may change a parameter other than `paused`"
  }
  assert {
    condition     = data.aws_iam_policy_document.operator.source_policy_documents == tolist([data.aws_iam_policy_document.viewer.json])
    error_message = "an operator sees what a viewer sees"
  }
}

run "the_keys_are_those_of_the_store" {
  # Reads the source files, so that neither side can change alone.
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.operator.statement : strcontains(file("../../../crates/aws/src/store/item.rs"), "&str = \"${one([for condition in statement.condition : one(condition.values) if condition.variable == "dynamodb:LeadingKeys" && condition.test == "ForAllValues:StringEquals"])}\";")
      if contains(["StopAndRetry", "CountKicks"], statement.sid)
    ])
    error_message = "a partition has another name in crates/aws/src/store/item.rs"
  }
  assert {
    condition     = strcontains(file("../../../crates/aws/src/store/item.rs"), "key(format!(\"job#{id}\"), \"ended\")") && strcontains(file("../../../crates/aws/src/store/lease.rs"), "\"ADD n :one\"") && length(output.policies.operator) > 0
    error_message = "an ended job or a kick is stored in another way"
  }
}

run "with_a_key_of_ones_own_records_can_be_read" {
  variables {
    kms_key_arn = { arn = "arn:aws:kms:eu-west-1:123456789012:key/0a1b" }
  }

  assert {
    condition = [
      for statement in data.aws_iam_policy_document.viewer_kms["key"].statement : "${one(statement.resources)} ${one(one(statement.condition).values)}"
    ] == ["arn:aws:kms:eu-west-1:123456789012:key/0a1b dynamodb.eu-west-1.amazonaws.com"]
    error_message = "the key may be used by DynamoDB only"
  }
}

run "the_boot_table_is_refused" {
  command = plan
  variables {
    state_table = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-boot" }
  }
  expect_failures = [var.state_table]
}
