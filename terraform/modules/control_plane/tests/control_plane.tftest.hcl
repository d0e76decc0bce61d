# Tests the control plane's wiring, and that each validation can fail. The provider is a mock, so nothing is created.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:mock" }
  }
  mock_data "aws_lambda_function" {
    defaults = { code_sha256 = "oysXbFa+ofTlUeduF9YLtqyseCKFDcNnO5RK6PPbjc4=" }
  }
  mock_data "aws_s3_object" {
    defaults = { checksum_sha256 = "oysXbFa+ofTlUeduF9YLtqyseCKFDcNnO5RK6PPbjc4=" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/mock" }
  }
  mock_resource "aws_scheduler_schedule_group" {
    defaults = { arn = "arn:aws:scheduler:eu-west-1:123456789012:schedule-group/ecsrunner-ci" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:mock" }
  }
}

# Different queues, so that tests can tell them apart.
override_resource {
  target = aws_sqs_queue.events_dead
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:ecsrunner-ci-events-dead" }
}

override_resource {
  target = aws_sqs_queue.kicks_dead
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:ecsrunner-ci-kicks-dead" }
}

override_resource {
  target = aws_sqs_queue.kicks
  values = { arn = "arn:aws:sqs:eu-west-1:123456789012:ecsrunner-ci-kicks" }
}

variables {
  deployment = "ci"
  # The hash, in base64, is that of the mocks above.
  package = { s3_bucket = "releases", s3_key = "control-plane-arm64.zip", s3_object_version = "7", sha256 = "a32b176c56bea1f4e551e76e17d60bb6acac7822850dc3673b944ae8f3db8dce" }
  bus     = { name = "ecsrunner-ci", arn = "arn:aws:events:eu-west-1:123456789012:event-bus/ecsrunner-ci" }
  cluster = { name = "ecsrunner-ci", arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/ecsrunner-ci" }
  tasks = {
    definition_arns = ["arn:aws:ecs:eu-west-1:123456789012:task-definition/ecsrunner-ci-default-x64:*"]
    role_arns       = ["arn:aws:iam::123456789012:role/ecsrunner-ci-task", "arn:aws:iam::123456789012:role/ecsrunner-ci-execution"]
  }
  runner_log_group = { name = "/ecsrunner/ci/runners", arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/runners" }
  tables = {
    state = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-state" }
    boot  = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/ecsrunner-ci-boot" }
  }
  secrets = {
    webhook = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecsrunner/ci/webhook-a1b2c3" }
    github  = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:ecsrunner/ci/github-a1b2c3" }
  }
  parameter_arns = ["arn:aws:ssm:eu-west-1:123456789012:parameter/ecsrunner/ci/deployment"]
}

run "only_exit_records_of_the_runners_log_group_reach_the_control_plane" {
  assert {
    condition     = aws_cloudwatch_log_subscription_filter.exit_records.log_group_name == "/ecsrunner/ci/runners" && aws_cloudwatch_log_subscription_filter.exit_records.filter_pattern == "{ $.exit_record = 1 }"
    error_message = "The filter takes the lines with an exit record from the runners' log group, and no others."
  }
  assert {
    condition     = aws_cloudwatch_log_subscription_filter.exit_records.destination_arn == aws_lambda_function.functions["control_plane"].arn
    error_message = "The control plane reads them."
  }
  assert {
    condition = (
      aws_lambda_permission.exit_records.principal == "logs.amazonaws.com"
      && aws_lambda_permission.exit_records.source_arn == "arn:aws:logs:eu-west-1:123456789012:log-group:/ecsrunner/ci/runners:*"
      && aws_lambda_permission.exit_records.source_account == "123456789012"
      && aws_lambda_permission.exit_records.action == "lambda:InvokeFunction"
    )
    error_message = "CloudWatch Logs may invoke the function for this log group of this account alone."
  }
}

run "both_functions_are_the_same_code" {
  assert {
    condition = alltrue([
      for function in aws_lambda_function.functions :
      function.runtime == "provided.al2023" && function.handler == "bootstrap" && function.architectures == tolist(["arm64"]) && function.timeout == 60 && function.memory_size == 512 && function.source_code_hash == "oysXbFa+ofTlUeduF9YLtqyseCKFDcNnO5RK6PPbjc4="
    ])
    error_message = "Both functions run the given archive on arm64, with 60 s and 512 MB."
  }
  assert {
    condition     = output.functions.control_plane.name == "ecsrunner-ci-control-plane" && output.functions.sweeper.name == "ecsrunner-ci-sweeper"
    error_message = "The functions' names are part of the public interface."
  }
  assert {
    condition     = aws_lambda_function.functions["sweeper"].environment[0].variables == tomap({ ECSRUNNER_DEPLOYMENT = "ci", ECSRUNNER_LOG = "info" })
    error_message = "The environment has only the deployment's name and the log level, and no variable that has its default."
  }
  assert {
    condition     = alltrue([for key, function in aws_lambda_function.functions : function.logging_config[0].log_group == aws_cloudwatch_log_group.functions[key].name && aws_cloudwatch_log_group.functions[key].name == "/aws/lambda/${function.function_name}"])
    error_message = "Each function writes to its own log group, which has a retention."
  }
  assert {
    condition     = alltrue([for function in aws_lambda_function.functions : function.reserved_concurrent_executions == -1])
    error_message = "No concurrency is reserved by default, since new accounts have none to reserve."
  }
}

run "each_event_has_its_rule" {
  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.control_plane["webhooks"].event_pattern) == { source = ["ecsrunner.webhook"] } && aws_cloudwatch_event_rule.control_plane["webhooks"].event_bus_name == "ecsrunner-ci"
    error_message = "Every webhook goes to the control plane, so that each wrong signature is counted."
  }
  assert {
    condition = jsonencode(jsondecode(aws_cloudwatch_event_rule.control_plane["tasks"].event_pattern)) == jsonencode({
      detail        = { clusterArn = [var.cluster.arn], lastStatus = ["RUNNING", "STOPPED"] }
      "detail-type" = ["ECS Task State Change"]
      source        = ["aws.ecs"]
    })
    error_message = "The rule matches only RUNNING and STOPPED of this cluster's tasks."
  }
  assert {
    condition     = aws_cloudwatch_event_rule.control_plane["tasks"].event_bus_name == "default"
    error_message = "The rule is on the default bus, the only one with ECS events."
  }
  assert {
    condition     = alltrue([for key, permission in aws_lambda_permission.rules : permission.principal == "events.amazonaws.com" && permission.source_arn == aws_cloudwatch_event_rule.control_plane[key].arn])
    error_message = "Only the deployment's rules may invoke the function, and no other rule or account."
  }
  assert {
    condition     = jsondecode(aws_scheduler_schedule.sweep.target[0].input) == { sweep = {} } && aws_scheduler_schedule.sweep.schedule_expression == "rate(1 minute)" && aws_scheduler_schedule.sweep.target[0].arn == aws_lambda_function.functions["sweeper"].arn
    error_message = "The sweeper is invoked each minute with the input `sweep`."
  }
  assert {
    condition     = aws_scheduler_schedule.sweep.target[0].retry_policy[0].maximum_retry_attempts == 0 && aws_lambda_function_event_invoke_config.sweeper.maximum_retry_attempts == 0 && aws_lambda_function_event_invoke_config.sweeper.maximum_event_age_in_seconds == 60
    error_message = "A late sweep is not retried, since the next one does the same work."
  }
}

run "without_an_image_to_build_nothing_of_codebuild_or_s3_is_granted" {
  assert {
    condition     = length(aws_iam_role_policy.functions_agents) == 0 && length(aws_iam_role_policy.functions_builds) == 0 && toset(keys(aws_cloudwatch_event_rule.control_plane)) == toset(["tasks", "webhooks"])
    error_message = "A permission or a rule is for what this deployment does not have."
  }
}

run "builds_and_agents_are_those_of_this_deployment" {
  variables {
    image = {
      agent_arns = ["arn:aws:s3:::bucket/agent/x64/ecsrunner-agent"]
      repository = { arn = "arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner" }
      projects   = { x64 = { name = "ecsrunner-ci-image-x64", arn = "arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64" } }
    }
  }

  assert {
    condition = { for statement in concat(data.aws_iam_policy_document.functions_agents["agents"].statement, data.aws_iam_policy_document.functions_builds["builds"].statement) : statement.sid => "${join(",", sort(statement.actions))} ${join(",", statement.resources)}" } == {
      PresignTheAgents  = "s3:GetObjectVersion arn:aws:s3:::bucket/agent/x64/ecsrunner-agent"
      Build             = "codebuild:BatchGetBuilds,codebuild:StartBuild arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64"
      MoveTheCurrentTag = "ecr:BatchGetImage,ecr:PutImage arn:aws:ecr:eu-west-1:123456789012:repository/ecsrunner-ci-runner"
    }
    error_message = "The permissions are for this deployment's projects, repository and agents."
  }
  assert {
    condition     = aws_iam_role_policy.functions_agents["agents"].role == aws_iam_role.functions.id && aws_iam_role_policy.functions_builds["builds"].role == aws_iam_role.functions.id
    error_message = "The permissions are those of the functions."
  }
  assert {
    condition = jsonencode(jsondecode(aws_cloudwatch_event_rule.control_plane["builds"].event_pattern)) == jsonencode({
      source        = ["aws.codebuild"]
      "detail-type" = ["CodeBuild Build State Change"]
      detail        = { "project-name" = ["ecsrunner-ci-image-x64"], "build-status" = [{ "anything-but" = "IN_PROGRESS" }] }
    }) && aws_cloudwatch_event_rule.control_plane["builds"].event_bus_name == "default"
    error_message = "The rule matches how builds of these projects end, on the default bus."
  }
  assert {
    condition     = aws_cloudwatch_event_target.control_plane["builds"].arn == aws_lambda_function.functions["control_plane"].arn && contains(keys(aws_lambda_permission.rules), "builds")
    error_message = "The rule invokes the control plane."
  }
}

run "nothing_is_lost_without_a_trace" {
  assert {
    condition     = alltrue([for target in aws_cloudwatch_event_target.control_plane : target.dead_letter_config[0].arn == aws_sqs_queue.events_dead.arn && target.retry_policy[0].maximum_retry_attempts == 185 && target.retry_policy[0].maximum_event_age_in_seconds == 86400])
    error_message = "Events that EventBridge cannot deliver within a day go to the dead-letter queue."
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.control_plane.destination_config[0].on_failure[0].destination == aws_sqs_queue.events_dead.arn && aws_lambda_function_event_invoke_config.control_plane.maximum_retry_attempts == 2
    error_message = "Events that the function fails to process go to the dead-letter queue after two retries."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.kicks.redrive_policy) == { deadLetterTargetArn = aws_sqs_queue.kicks_dead.arn, maxReceiveCount = 3 }
    error_message = "A kick that cannot be processed goes to the dead-letter queue of kicks."
  }
  assert {
    condition     = aws_scheduler_schedule.sweep.target[0].dead_letter_config[0].arn == aws_sqs_queue.events_dead.arn
    error_message = "If Lambda cannot be invoked for a sweep, the dead-letter queue records why."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.kicks.function_response_types == toset(["ReportBatchItemFailures"]) && aws_lambda_event_source_mapping.kicks.batch_size == 10
    error_message = "One bad message must not cause a redelivery of the other nine."
  }
  assert {
    condition     = aws_sqs_queue.kicks.visibility_timeout_seconds == 6 * aws_lambda_function.functions["control_plane"].timeout
    error_message = "Kicks stay hidden for six times the function's timeout."
  }
  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.kicks, aws_sqs_queue.kicks_dead, aws_sqs_queue.events_dead] : queue.sqs_managed_sse_enabled])
    error_message = "Every queue is encrypted."
  }
}

run "each_statement_names_what_it_is_about" {
  assert {
    condition     = [for statement in data.aws_iam_policy_document.functions.statement : statement.sid if contains(statement.resources, "*")] == ["List"]
    error_message = "Only ListTasks may have the resource `*`."
  }
  assert {
    condition     = alltrue([for statement in data.aws_iam_policy_document.functions.statement : anytrue([for condition in statement.condition : condition.variable == "ecs:cluster" && condition.values == tolist([var.cluster.arn])]) if contains(["Launch", "FollowAndStop", "List"], statement.sid)])
    error_message = "Actions on tasks are allowed in this cluster only."
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.functions.statement : statement if statement.sid == "TagWhatIsLaunched"]).resources == toset(["arn:aws:ecs:eu-west-1:123456789012:task/ecsrunner-ci/*"])
    error_message = "Only this cluster's tasks may be tagged."
  }
  assert {
    condition     = one(one([for statement in data.aws_iam_policy_document.functions.statement : statement if statement.sid == "PassTheTasksRoles"]).condition).values == tolist(["ecs-tasks.amazonaws.com"])
    error_message = "Roles may be passed to ECS tasks only."
  }
  assert {
    condition     = one([for statement in data.aws_iam_policy_document.functions.statement : statement if statement.sid == "BootItems"]).actions == toset(["dynamodb:DeleteItem", "dynamodb:PutItem"])
    error_message = "The functions may put and delete boot items, but not read them."
  }
  assert {
    condition     = toset([for condition in data.aws_iam_policy_document.scheduler_trust.statement[0].condition : condition.variable]) == toset(["aws:SourceAccount", "aws:SourceArn"])
    error_message = "The scheduler may assume its role for this deployment's schedules only."
  }
  assert {
    condition     = length(aws_iam_role_policy.functions_kms) == 0
    error_message = "Without a key there is no permission to decrypt."
  }
}

run "what_is_asked_for_is_made" {
  variables {
    package        = { s3_bucket = "releases", s3_key = "control-plane-x86_64.zip", s3_object_version = "7", sha256 = "a32b176c56bea1f4e551e76e17d60bb6acac7822850dc3673b944ae8f3db8dce", architecture = "x86_64" }
    github_api_url = "https://github.example.com/api/v3"
    kms_key_arn    = { arn = "arn:aws:kms:eu-west-1:123456789012:key/0a1b" }
    log            = { level = "debug", retention_days = 7 }
    function       = { timeout = 90, reserved_concurrency = 5, sweeper_reserved_concurrency = 2 }
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.functions : function.s3_key == "control-plane-x86_64.zip" && function.filename == null && function.architectures == tolist(["x86_64"])]) && aws_lambda_function.functions["control_plane"].reserved_concurrent_executions == 5 && aws_lambda_function.functions["sweeper"].reserved_concurrent_executions == 2
    error_message = "The code is the object in S3, for the architecture that it was built for."
  }
  assert {
    condition     = aws_lambda_function.functions["control_plane"].environment[0].variables == tomap({ ECSRUNNER_DEPLOYMENT = "ci", ECSRUNNER_LOG = "debug", GITHUB_API_URL = "https://github.example.com/api/v3" })
    error_message = "The function gets the URL of GitHub Enterprise Server."
  }
  assert {
    condition     = data.aws_iam_policy_document.functions_kms["key"].statement[0].resources == toset(["arn:aws:kms:eu-west-1:123456789012:key/0a1b"])
    error_message = "The functions may use the given key."
  }
  assert {
    condition     = aws_sqs_queue.kicks.visibility_timeout_seconds == 540 && alltrue([for group in aws_cloudwatch_log_group.functions : group.retention_in_days == 7])
    error_message = "Timeout and retention have the given values."
  }
}

# Any file can be the archive, since it is not unpacked here.
run "an_archive_in_a_file_is_hashed_here" {
  command = plan
  variables {
    package = { filename = "./granted.md" }
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.functions : function.source_code_hash == filebase64sha256("./granted.md") && function.s3_bucket == null]) && length(data.aws_s3_object.archive) == 0
    error_message = "The hash is that of the file."
  }
}

run "an_archive_in_s3_is_named_by_version_and_hash" {
  assert {
    condition     = alltrue([for function in aws_lambda_function.functions : function.s3_object_version == "7" && function.s3_key == "control-plane-arm64.zip" && function.filename == null]) && data.aws_s3_object.archive["archive"].version_id == "7" && data.aws_s3_object.archive["archive"].checksum_mode == "ENABLED"
    error_message = "The version that is deployed is the one whose checksum is compared."
  }
}

run "an_archive_in_s3_with_another_hash_is_refused" {
  command = plan
  override_data {
    target = data.aws_s3_object.archive["archive"]
    values = { checksum_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
  expect_failures = [data.aws_s3_object.archive["archive"]]
}

run "an_archive_in_s3_without_a_hash_is_refused" {
  command = plan
  override_data {
    target = data.aws_s3_object.archive["archive"]
    values = { checksum_sha256 = "" }
  }
  expect_failures = [data.aws_s3_object.archive["archive"]]
}

run "code_that_others_have_replaced_is_seen" {
  command = plan
  override_data {
    target = data.aws_lambda_function.deployed["sweeper"]
    values = { code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
  }
  expect_failures = [data.aws_lambda_function.deployed["sweeper"]]
}

run "an_object_without_a_version_is_refused" {
  command = plan
  variables {
    package = { s3_bucket = "releases", s3_key = "control-plane-arm64.zip", sha256 = "a32b176c56bea1f4e551e76e17d60bb6acac7822850dc3673b944ae8f3db8dce" }
  }
  expect_failures = [var.package]
}

run "an_object_without_a_hash_is_refused" {
  command = plan
  variables {
    package = { s3_bucket = "releases", s3_key = "control-plane-arm64.zip", s3_object_version = "7" }
  }
  expect_failures = [var.package]
}

run "a_hash_in_base64_is_refused" {
  command = plan
  variables {
    package = { s3_bucket = "releases", s3_key = "control-plane-arm64.zip", s3_object_version = "7", sha256 = "oysXbFa+ofTlUeduF9YLtqyseCKFDcNnO5RK6PPbjc4=" }
  }
  expect_failures = [var.package]
}

run "a_wrong_deployment_is_refused" {
  command = plan
  variables {
    deployment = "-ci"
  }
  expect_failures = [var.deployment]
}

run "a_package_of_nothing_is_refused" {
  command = plan
  variables {
    package = {}
  }
  expect_failures = [var.package]
}

run "a_package_of_a_file_and_an_object_is_refused" {
  command = plan
  variables {
    package = { filename = "./granted.md", s3_bucket = "releases", s3_key = "x.zip" }
  }
  expect_failures = [var.package]
}

run "a_bucket_without_a_key_is_refused" {
  command = plan
  variables {
    package = { s3_bucket = "releases" }
  }
  expect_failures = [var.package]
}

run "a_package_that_is_not_there_is_refused" {
  command = plan
  variables {
    package = { filename = "./bootstrap.zip" }
  }
  expect_failures = [var.package]
}

run "another_name_of_an_architecture_is_refused" {
  command = plan
  variables {
    package = { filename = "./granted.md", architecture = "x64" }
  }
  expect_failures = [var.package]
}

run "no_task_definition_is_refused" {
  command = plan
  variables {
    tasks = { definition_arns = [], role_arns = [] }
  }
  expect_failures = [var.tasks]
}

run "no_parameter_is_refused" {
  command = plan
  variables {
    parameter_arns = []
  }
  expect_failures = [var.parameter_arns]
}

run "traces_go_to_the_endpoint_and_their_headers_stay_in_one_secret" {
  variables {
    traces = {
      endpoint            = "https://otlp.example.com:4318"
      headers_secret_arn  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-headers-a1B2c3"
      headers_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/0a1b"
    }
  }

  assert {
    condition     = alltrue([for function in aws_lambda_function.functions : function.environment[0].variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://otlp.example.com:4318" && function.environment[0].variables["ECSRUNNER_OTLP_HEADERS_SECRET"] == "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-headers-a1B2c3"])
    error_message = "Both functions export traces."
  }
  assert {
    condition     = length(aws_iam_role_policy.functions_traces) == 1 && one([for document in data.aws_iam_policy_document.functions_traces : document.statement[0].resources]) == toset(["arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-headers-a1B2c3"])
    error_message = "The functions may read the headers' secret alone."
  }
}

run "without_traces_no_further_secret_can_be_read" {
  assert {
    condition     = length(aws_iam_role_policy.functions_traces) == 0 && alltrue([for function in aws_lambda_function.functions : !contains(keys(function.environment[0].variables), "OTEL_EXPORTER_OTLP_ENDPOINT")])
    error_message = "Nothing is exported, and nothing more is granted."
  }
}

run "an_endpoint_with_credentials_is_refused" {
  command = plan
  variables {
    traces = { endpoint = "https://me:secret@otlp.example.com" }
  }
  expect_failures = [var.traces]
}

run "secret_headers_without_tls_are_refused" {
  command = plan
  variables {
    traces = { endpoint = "http://collector:4318", headers_secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-headers-a1B2c3" }
  }
  expect_failures = [var.traces]
}

run "a_pattern_of_secrets_is_refused" {
  command = plan
  variables {
    traces = { endpoint = "https://otlp.example.com", headers_secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:otlp-*" }
  }
  expect_failures = [var.traces]
}

run "an_alias_of_a_key_is_refused" {
  command = plan
  variables {
    traces = { endpoint = "https://otlp.example.com", headers_kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:alias/otlp" }
  }
  expect_failures = [var.traces]
}

run "a_log_level_that_would_tell_secrets_is_refused" {
  command = plan
  variables {
    log = { level = "trace" }
  }
  expect_failures = [var.log]
}

run "a_time_out_below_a_minute_is_refused" {
  command = plan
  variables {
    function = { timeout = 30 }
  }
  expect_failures = [var.function]
}

run "less_memory_than_lambda_offers_is_refused" {
  command = plan
  variables {
    function = { memory = 64 }
  }
  expect_failures = [var.function]
}

run "a_concurrency_of_nothing_is_refused" {
  command = plan
  variables {
    function = { reserved_concurrency = 0 }
  }
  expect_failures = [var.function]
}

run "a_sweeper_without_concurrency_is_refused" {
  command = plan
  variables {
    function = { sweeper_reserved_concurrency = 0 }
  }
  expect_failures = [var.function]
}

run "lambda_takes_kicks_for_no_runaway_loop" {
  assert {
    condition     = { for key, config in aws_lambda_function_recursion_config.functions : config.function_name => config.recursive_loop } == { ecsrunner-ci-control-plane = "Allow", ecsrunner-ci-sweeper = "Allow" }
    error_message = "With Lambda's default the control plane's kicks would be dropped after about 16."
  }
}

run "a_key_is_used_through_two_services_of_this_partition" {
  variables {
    kms_key_arn = { arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/0a1b" }
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = one(data.aws_iam_policy_document.functions_kms["key"].statement[0].condition).values == tolist(["dynamodb.*.amazonaws.com.cn", "secretsmanager.*.amazonaws.com.cn"])
    error_message = "The services' names end as the partition's hosts do."
  }
}

run "roles_are_bounded_and_named_as_asked_for" {
  command = plan
  variables {
    iam  = { permissions_boundary = "arn:aws:iam::123456789012:policy/boundary", path = "/ci/" }
    tags = { team = "platform" }
  }

  assert {
    condition     = alltrue([for role in [aws_iam_role.functions, aws_iam_role.scheduler] : role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary" && role.path == "/ci/" && role.tags.team == "platform"])
    error_message = "Each role has the boundary, the path and the tags."
  }
}

run "projects_without_a_repository_are_refused" {
  command = plan
  variables {
    image = { projects = { x64 = { name = "ecsrunner-ci-image-x64", arn = "arn:aws:codebuild:eu-west-1:123456789012:project/ecsrunner-ci-image-x64" } } }
  }
  expect_failures = [var.image]
}

run "half_a_second_of_time_out_is_refused" {
  command = plan
  variables {
    function = { timeout = 60.5 }
  }
  expect_failures = [var.function]
}

run "half_a_megabyte_of_memory_is_refused" {
  command = plan
  variables {
    function = { memory = 256.5 }
  }
  expect_failures = [var.function]
}

run "half_a_concurrent_execution_is_refused" {
  command = plan
  variables {
    function = { reserved_concurrency = 2.5 }
  }
  expect_failures = [var.function]
}

run "half_a_concurrent_sweep_is_refused" {
  command = plan
  variables {
    function = { sweeper_reserved_concurrency = 1.5 }
  }
  expect_failures = [var.function]
}
