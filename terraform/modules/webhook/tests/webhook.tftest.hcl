# Tests the endpoint's wiring, and that each validation can fail. The provider is a mock, so nothing is created.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }
  mock_resource "aws_api_gateway_stage" {
    defaults = {
      arn        = "arn:aws:apigateway:eu-west-1::/restapis/a1b2c3/stages/v1"
      invoke_url = "https://a1b2c3.execute-api.eu-west-1.amazonaws.com/v1"
    }
  }
  mock_resource "aws_api_gateway_rest_api" {
    defaults = { execution_arn = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3" }
  }
  mock_resource "aws_cloudwatch_event_bus" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:event-bus/ecsrunner-ci" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/ecsrunner-ci-webhook" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/apigateway/ecsrunner-ci-webhook" }
  }
}

variables {
  deployment = "ci"
}

run "the_templates_are_the_shipped_files" {
  assert {
    condition     = aws_api_gateway_integration.put_events.request_templates == tomap({ "application/json" = file("./put_events.vtl") })
    error_message = "The request template must be put_events.vtl, byte for byte, and for application/json only."
  }
  assert {
    condition     = aws_api_gateway_integration_response.statuses["200"].response_templates["application/json"] == file("./put_events_response.vtl")
    error_message = "A successful answer of PutEvents must use put_events_response.vtl."
  }
  assert {
    condition     = aws_api_gateway_integration_response.statuses["502"].response_templates["application/json"] == file("./put_events_failed.vtl")
    error_message = "A failure of PutEvents must use put_events_failed.vtl."
  }
  assert {
    condition     = aws_api_gateway_stage.v1.variables["bus"] == aws_cloudwatch_event_bus.webhooks.name && aws_cloudwatch_event_bus.webhooks.name == "ecsrunner-ci"
    error_message = "The stage variable `bus` must name the bus that is created here."
  }
}

run "put_events_is_called_as_events_wants_it" {
  assert {
    condition     = aws_api_gateway_integration.put_events.uri == "arn:aws:apigateway:eu-west-1:events:action/PutEvents"
    error_message = "The integration must be EventBridge's PutEvents."
  }
  assert {
    condition     = aws_api_gateway_integration.put_events.type == "AWS" && aws_api_gateway_integration.put_events.passthrough_behavior == "NEVER" && aws_api_gateway_integration.put_events.timeout_milliseconds < 10000
    error_message = "Requests without a template must not reach EventBridge, and the timeout must be below GitHub's 10 seconds."
  }
  assert {
    condition     = aws_api_gateway_integration.put_events.request_parameters["integration.request.header.X-Amz-Target"] == "'AWSEvents.PutEvents'" && aws_api_gateway_integration.put_events.request_parameters["integration.request.header.Content-Type"] == "'application/x-amz-json-1.1'"
    error_message = "PutEvents needs its two headers."
  }
  assert {
    condition     = data.aws_iam_policy_document.put_events.statement[0].actions == toset(["events:PutEvents"]) && data.aws_iam_policy_document.put_events.statement[0].resources == toset([aws_cloudwatch_event_bus.webhooks.arn]) && length(data.aws_iam_policy_document.put_events.statement) == 1
    error_message = "The role may only put events onto the bus."
  }
  assert {
    condition     = length(aws_api_gateway_rest_api.webhook.binary_media_types == null ? [] : aws_api_gateway_rest_api.webhook.binary_media_types) == 0
    error_message = "There must be no binary media types, since $input.body would not be the raw text."
  }
}

run "a_failure_of_put_events_is_no_200" {
  assert {
    condition     = alltrue([for status in ["400", "413", "429", "500", "503"] : can(regex("^(?:${aws_api_gateway_integration_response.statuses["502"].selection_pattern})$", status))])
    error_message = "Each 4xx and 5xx of PutEvents must be answered with 502."
  }
  assert {
    condition     = !can(regex("^(?:${aws_api_gateway_integration_response.statuses["502"].selection_pattern})$", "200"))
    error_message = "A 200 of PutEvents must stay the default."
  }
  assert {
    condition     = toset([for response in aws_api_gateway_method_response.statuses : response.status_code]) == toset(["200", "400", "502"])
    error_message = "The method answers 200, 400 and 502."
  }
}

run "no_header_is_asked_for_by_its_spelling" {
  assert {
    condition     = aws_api_gateway_method.post.request_parameters == null && !aws_api_gateway_request_validator.headers.validate_request_body
    error_message = "The template finds headers in any spelling and refuses a webhook without them. The API's own validation may compare spellings."
  }
  assert {
    condition     = alltrue([for name in ["DEFAULT_4XX", "DEFAULT_5XX"] : contains(keys(aws_api_gateway_gateway_response.refusals), name)])
    error_message = "Responses without an entry of their own must use one of the module's defaults."
  }
  assert {
    condition     = alltrue([for response in aws_api_gateway_gateway_response.refusals : !strcontains(response.response_templates["application/json"], "$")])
    error_message = "A refusal is a constant text without AWS's own message about the back end."
  }
}

run "nothing_that_a_sender_controls_is_logged" {
  variables {
    account_log_role = "existing"
  }

  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].logging_level == "OFF" && !aws_api_gateway_method_settings.all.settings[0].data_trace_enabled
    error_message = "Execution logs must be off, since they would contain bodies and signatures."
  }
  assert {
    condition     = strcontains(aws_api_gateway_stage.v1.access_log_settings[0].format, "$context.extendedRequestId") && !strcontains(aws_api_gateway_stage.v1.access_log_settings[0].format, "$context.requestId") && !strcontains(aws_api_gateway_stage.v1.access_log_settings[0].format, "$input") && !strcontains(aws_api_gateway_stage.v1.access_log_settings[0].format, "userAgent")
    error_message = "The access log names a request by the extended id, and holds no body and no header."
  }
  assert {
    condition     = can(jsondecode(aws_api_gateway_stage.v1.access_log_settings[0].format)) && aws_cloudwatch_log_group.access.retention_in_days == 30
    error_message = "Access logs are JSON and have a retention."
  }
}

run "only_github_may_call_by_default" {
  # Written out, so that a change of the list is seen here too.
  assert {
    condition = [for condition in data.aws_iam_policy_document.callers.statement[0].condition : "${condition.test} ${condition.variable} ${join(" ", sort(condition.values))}"] == [
      "IpAddress aws:SourceIp 140.82.112.0/20 143.55.64.0/20 185.199.108.0/22 192.30.252.0/22 2606:50c0::/32 2a0a:a440::/29"
    ]
    error_message = "Only the addresses of GitHub's webhooks may call."
  }
  assert {
    condition     = output.sources.github_as_of == jsondecode(file("./github_hooks.json")).as_of && can(formatdate("YYYY", "${output.sources.github_as_of}T00:00:00Z")) && length(output.sources.cidrs) == 6
    error_message = "The list has the date on which it was GitHub's."
  }
  assert {
    condition     = alltrue([for cidr in output.sources.cidrs : can(cidrhost(cidr, 0))])
    error_message = "GitHub's list has address ranges."
  }
  assert {
    condition     = output.url == "https://a1b2c3.execute-api.eu-west-1.amazonaws.com/v1/webhook"
    error_message = "The URL is that of the stage, with /webhook."
  }
  assert {
    condition     = length(aws_cloudwatch_event_archive.webhooks) == 0 && length(aws_wafv2_web_acl_association.stage) == 0
    error_message = "An archive and a web ACL are charged, so both are off by default."
  }
}

run "the_account_is_left_alone_by_default" {
  assert {
    condition     = length(aws_api_gateway_account.own) == 0 && length(aws_iam_role.apigateway_logs) == 0 && length(aws_api_gateway_stage.v1.access_log_settings) == 0
    error_message = "The log role belongs to the whole account, so it is not set, and without one a stage with an access log cannot be created."
  }
  assert {
    condition     = aws_cloudwatch_log_group.access.name == "/aws/apigateway/ecsrunner-ci-webhook"
    error_message = "The log group exists without a log, so that turning the log off deletes no line."
  }
}

run "an_access_log_can_have_a_role_of_its_own" {
  variables {
    account_log_role = "own"
  }

  assert {
    condition     = aws_api_gateway_account.own["own"].cloudwatch_role_arn == aws_iam_role.apigateway_logs["own"].arn && length(aws_api_gateway_stage.v1.access_log_settings) == 1
    error_message = "The account's log role is set, since a stage with an access log cannot be created without one."
  }
  assert {
    condition     = aws_iam_role.apigateway_logs["own"].name != "ecsrunner-ci-apigateway-logs"
    error_message = "Earlier versions leave a role of that name in the account."
  }
}

run "an_access_log_can_use_the_accounts_role" {
  variables {
    account_log_role = "existing"
  }

  assert {
    condition     = length(aws_api_gateway_account.own) == 0 && length(aws_iam_role.apigateway_logs) == 0 && length(aws_api_gateway_stage.v1.access_log_settings) == 1
    error_message = "The requests are logged, and the account's role is left alone."
  }
}

run "a_flood_is_throttled_by_default" {
  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].throttling_rate_limit == 25 && aws_api_gateway_method_settings.all.settings[0].throttling_burst_limit == 1000
    error_message = "The throttle has the rate from which terraform/README.md computes the cost of a flood."
  }
}

run "all_may_call_where_that_is_asked_for" {
  variables {
    source_cidrs = ["0.0.0.0/0", "::/0"]
  }

  assert {
    condition     = one(data.aws_iam_policy_document.callers.statement[0].condition).values == tolist(["0.0.0.0/0", "::/0"]) && output.sources.cidrs == tolist(["0.0.0.0/0", "::/0"]) && output.sources.github_as_of == null
    error_message = "Every address is allowed, and the list is not GitHub's."
  }
}

run "what_is_asked_for_is_made" {
  variables {
    source_cidrs     = ["192.30.252.0/22", "2606:50c0::/32"]
    archive_days     = 14
    waf              = { acl_arn = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/edge/0a1b" }
    account_log_role = "existing"
    throttle         = { rate = 20, burst = 40 }
  }

  assert {
    condition = anytrue([
      for condition in data.aws_iam_policy_document.callers.statement[0].condition :
      condition.test == "IpAddress" && condition.variable == "aws:SourceIp" && toset(condition.values) == toset(["192.30.252.0/22", "2606:50c0::/32"])
    ])
    error_message = "Only the given addresses may call."
  }
  assert {
    condition     = aws_cloudwatch_event_archive.webhooks["webhooks"].retention_days == 14
    error_message = "The archive keeps webhooks for the given number of days."
  }
  assert {
    condition     = aws_wafv2_web_acl_association.stage["stage"].resource_arn == aws_api_gateway_stage.v1.arn
    error_message = "The web ACL is associated with the stage."
  }
  assert {
    condition     = length(aws_api_gateway_account.own) == 0 && length(aws_iam_role.apigateway_logs) == 0
    error_message = "With `existing`, the account's log role must not be changed."
  }
  assert {
    condition     = aws_api_gateway_method_settings.all.settings[0].throttling_rate_limit == 20 && aws_api_gateway_method_settings.all.settings[0].throttling_burst_limit == 40
    error_message = "The throttle has the given limits."
  }
}

run "a_wrong_deployment_is_refused" {
  command = plan
  variables {
    deployment = "CI!"
  }
  expect_failures = [var.deployment]
}

run "a_deployment_of_21_characters_is_refused" {
  command = plan
  variables {
    deployment = "abcdefghijklmnopqrstu"
  }
  expect_failures = [var.deployment]
}

run "a_rate_of_nothing_is_refused" {
  command = plan
  variables {
    throttle = { rate = 0 }
  }
  expect_failures = [var.throttle]
}

run "a_burst_above_the_quota_is_refused" {
  command = plan
  variables {
    throttle = { burst = 5001 }
  }
  expect_failures = [var.throttle]
}

run "an_empty_list_of_addresses_is_refused" {
  command = plan
  variables {
    source_cidrs = []
  }
  expect_failures = [var.source_cidrs]
}

run "an_address_that_is_none_is_refused" {
  command = plan
  variables {
    source_cidrs = ["github.com"]
  }
  expect_failures = [var.source_cidrs]
}

run "a_web_acl_of_cloudfront_is_refused" {
  command = plan
  variables {
    waf = { acl_arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/edge/0a1b" }
  }
  expect_failures = [var.waf]
}

run "a_log_role_of_another_word_is_refused" {
  command = plan
  variables {
    account_log_role = "yes"
  }
  expect_failures = [var.account_log_role]
}

run "half_a_day_of_archive_is_refused" {
  command = plan
  variables {
    archive_days = 0.5
  }
  expect_failures = [var.archive_days]
}

run "roles_are_bounded_and_named_as_asked_for" {
  variables {
    account_log_role = "own"
    iam              = { permissions_boundary = "arn:aws:iam::123456789012:policy/boundary", path = "/ci/" }
    tags             = { team = "platform" }
  }

  assert {
    condition     = alltrue([for role in [aws_iam_role.put_events, aws_iam_role.apigateway_logs["own"]] : role.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary" && role.path == "/ci/" && role.tags.team == "platform"])
    error_message = "Each role has the boundary, the path and the tags."
  }
}

run "half_a_request_of_burst_is_refused" {
  command = plan
  variables {
    throttle = { burst = 10.5 }
  }
  expect_failures = [var.throttle]
}
