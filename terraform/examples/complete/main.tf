# Most options: an organization's runner group, classes on arm64, on Spot and on managed instances, a second image, an
# existing network and key, roles with a permissions boundary, webhooks through a proxy, an access log and an archive of
# webhooks, and recipients of alarms.

module "ecsrunner" {
  source = "../.."

  deployment           = "acme-ci"
  tags                 = { team = "platform" }
  iam                  = { permissions_boundary = "arn:aws:iam::123456789012:policy/boundary", path = "/ci/" }
  allowed_repositories = ["acme/*"]

  github = { organization = { name = "acme", group = 3 } }

  policy = {
    events     = ["push", "pull_request", "merge_group", "workflow_dispatch"]
    check_runs = true
    # Needs the App's permission Actions: read and write.
    rerun_repositories = ["acme/app"]
    job_summary        = true
  }

  limits = {
    max_runners                = 200
    max_runners_per_repository = 40
    max_warm                   = 2
    max_job_minutes            = 120
    paces                      = { fargate = { burst = 25, per_minute = 300 } }
  }

  costs = {
    budget             = { monthly_usd = 2000 }
    repository_budgets = { "acme/app" = { daily_usd = 50, action = "hold" } }
  }

  runner_class_sizes = {
    small   = { cpu = 1024, memory = 2048, arch = "arm64", default = true }
    large   = { cpu = 4096, memory = 16384, arch = "arm64", capacity = "spot-then-on-demand", max_runners = 40 }
    android = { cpu = 8192, memory = 32768, image = "android", ephemeral_storage_gib = 60, labels = ["android-sdk"], repositories = ["acme/app"] }
    # Two tasks wait for a job in office hours, so that jobs begin at once.
    fast = { cpu = 2048, memory = 4096, warm = { count = 2, schedule = ["Mon-Fri 08:00-19:00 Europe/Berlin"] } }
    # Jobs with Docker, each on an EC2 instance of its own: 4 vCPUs and 16 GiB.
    images  = { cpu = 4096, memory = 14336, compute = "managed-instances", docker = true, capacity = "spot-then-on-demand" }
    release = { cpu = 2048, memory = 4096, repositories = ["acme/release"], rerun = false, max_job_minutes = 60 }
  }

  runner_image_tag = "2026-11"
  # Jobs take these actions from the image instead of downloading them.
  runner_image_build = { actions = ["actions/checkout@v4", "actions/setup-node@v4"] }
  runner_images = {
    android = { uri = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/android-runner@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" }
  }

  # Subnets with a route to the internet through a NAT.
  network = {
    vpc_id     = "vpc-0123456789abcdef0"
    subnet_ids = ["subnet-0123456789abcdef0", "subnet-0fedcba9876543210"]
  }

  webhook = {
    # Webhooks come through a proxy of the company. By default they come from github.com's addresses.
    source_cidrs     = ["203.0.113.10/32"]
    throttle         = { rate = 100, burst = 2000 }
    archive_days     = 14
    account_log_role = "existing"
  }

  agent = var.agent

  control_plane = {
    package = {
      s3_bucket         = "acme-releases"
      s3_key            = "ecsrunner/0.1.0/control-plane-x86_64.zip"
      s3_object_version = "1a2b3c4d"
      sha256            = "a32b176c56bea1f4e551e76e17d60bb6acac7822850dc3673b944ae8f3db8dce"
      architecture      = "x86_64"
    }
    log_level = "debug"
    function  = { memory = 256, reserved_concurrency = 20, sweeper_reserved_concurrency = 2 }
  }

  observe = {
    emails             = ["platform@example.com"]
    topics             = ["arn:aws:sns:eu-west-1:123456789012:pager"]
    alarms             = { launch_failures = 50 }
    log_retention_days = 90
    container_insights = true
  }

  storage = {
    secret_recovery_window_days = 30
    # The key's policy allows CloudWatch Logs to use it for the log group /ecsrunner/acme-ci/runners.
    kms_key = { arn = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab" }
  }
}
