# Tests each kind of mistake, in whichever depth. What is right is passed on as it is.

run "inputs_that_are_right_are_passed_on" {
  variables {
    inputs = {
      tags                 = { team = "ci", cost-centre = 42 }
      iam                  = null
      allowed_repositories = tolist(["acme/app"])
      runner_image_tag     = 7
      runner_class_sizes   = { small = { cpu = "1024", memory = 2048, arch = null, labels = [], services = {}, exec = "true" } }
      limits               = {}
    }
  }

  assert {
    condition     = output.mistakes == [] && output.checked == var.inputs
    error_message = "mistakes: ${jsonencode(output.mistakes)}"
  }
}

run "a_key_that_an_object_does_not_have" {
  command = plan
  variables {
    inputs = {
      costs              = { budget = { weekly_usd = 5 } }
      runner_class_sizes = { small = { cpu = 1024, memory = 2048, services = { db = { image = "postgres", port = 5432, health = { command = "true", retry = 3 } } } } }
      webhook            = { throttle = { rates = 1 } }
    }
  }
  expect_failures = [output.checked]

  assert {
    condition = output.mistakes == [
      "costs.budget has weekly_usd: one of action, daily_usd, monthly_usd is expected.",
      "runner_class_sizes.small.services.db.health has retry: one of command, interval_secs, retries is expected.",
      "webhook.throttle has rates: one of burst, rate is expected.",
    ]
    error_message = "mistakes: ${jsonencode(output.mistakes)}"
  }
}

run "a_key_that_is_missing" {
  command = plan
  variables {
    inputs = {
      github             = { organization = {} }
      runner_class_sizes = { small = { cpu = 1024 } }
    }
  }
  expect_failures = [output.checked]

  assert {
    condition = output.mistakes == [
      "github.organization has no name: a text is expected.",
      "runner_class_sizes.small has no memory: a number is expected.",
    ]
    error_message = "mistakes: ${jsonencode(output.mistakes)}"
  }
}

run "a_value_of_another_type" {
  command = plan
  variables {
    inputs = {
      limits             = { max_runners = "ten", paces = { github = 3 } }
      network            = { subnet_ids = { a = "subnet-0" } }
      observe            = { emails = "you@example.com" }
      policy             = { forks = "off", on_failure = ["wait"] }
      runner_class_sizes = { small = { cpu = 1024, memory = 2048, services = { db = { image = "postgres", port = 5432, process = [["x"]] } } } }
      tags               = ["team"]
    }
  }
  expect_failures = [output.checked]

  assert {
    condition = output.mistakes == [
      "limits.max_runners is `ten`: a number is expected.",
      "limits.paces.github is `3`: an object (`{…}`) is expected.",
      "network.subnet_ids is an object: a list (`[…]`) is expected.",
      "observe.emails is `you@example.com`: a list (`[…]`) is expected.",
      "policy.forks is `off`: true or false is expected.",
      "policy.on_failure is a list: a text is expected.",
      "runner_class_sizes.small.services.db.process[0] is a list: a text is expected.",
      "tags is a list: a map (`{…}`) is expected.",
    ]
    error_message = "mistakes: ${jsonencode(output.mistakes)}"
  }
}

run "a_null_where_a_value_is_expected" {
  command = plan
  variables {
    inputs = {
      allowed_repositories = [null]
      runner_class_sizes = {
        large = null
        small = { cpu = null, memory = 2048, services = { db = { image = "postgres", port = 5432, env = { USER = null } } } }
      }
    }
  }
  expect_failures = [output.checked]

  assert {
    condition = output.mistakes == [
      "allowed_repositories[0] is null: a text is expected.",
      "runner_class_sizes.large is null: an object (`{…}`) is expected.",
      "runner_class_sizes.small.cpu is null: a number is expected.",
      "runner_class_sizes.small.services.db.env.USER is null: a text is expected.",
    ]
    error_message = "mistakes: ${jsonencode(output.mistakes)}"
  }
}

run "a_version_without_quotes" {
  command = plan
  variables {
    inputs = { runner_image_tag = 1.10 }
  }
  expect_failures = [output.checked]

  assert {
    condition     = output.mistakes == ["runner_image_tag is the number 1.1: a text in quotes is expected, since 1.10 without quotes is 1.1."]
    error_message = "mistakes: ${jsonencode(output.mistakes)}"
  }
}
