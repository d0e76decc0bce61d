# ecsrunner on AWS, composed of one module per part:
#
#     webhook ──▶ control_plane ──▶ fleet, in network, and managed_instances for classes that need them
#                  │  └──▶ image: builds the runners' image, and has the agents
#                  │    reads parameters, stores records in state
#                  └──▶ observe; access has policies for people
#
# This file only wires module outputs to module inputs.

data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  github_api_url = trimsuffix(var.github.api_url, "/")

  # Each resource that can be tagged has these. Runner tasks are tagged at launch.
  tags = merge(var.tags, { "ecsrunner:deployment" = var.deployment })

  # A package of ecsrunner has the archives beside this directory, for one architecture or both. An archive's name ends
  # with its architecture.
  beside = [for name in ["arm64", "x86_64"] : name if fileexists("${path.module}/../control-plane-${name}.zip")]
  architecture = coalesce(
    var.control_plane.package.architecture,
    endswith(coalesce(var.control_plane.package.filename, var.control_plane.package.s3_key, "none"), "x86_64.zip") ? "x86_64" : null,
    var.control_plane.package.filename == null && var.control_plane.package.s3_bucket == null ? one(slice(concat(local.beside, ["arm64"]), 0, 1)) : "arm64",
  )
  package = merge(var.control_plane.package, {
    architecture = local.architecture
    filename = var.control_plane.package.s3_bucket != null ? var.control_plane.package.filename : coalesce(
      var.control_plane.package.filename,
      "${path.module}/../control-plane-${local.architecture}.zip",
    )
  })

  # An image is needed for the architectures of the classes that use it. The default image exists even if no class uses
  # it yet.
  architectures = {
    for name in concat(["default"], keys(var.runner_images)) : name => coalescelist(
      sort(distinct([for class in values(var.runner_class_sizes) : class.arch if coalesce(class.image, "default") == name])),
      ["x64"],
    )
  }

  managed_classes = { for name, class in var.runner_class_sizes : name => class if coalesce(class.compute, "fargate") == "managed-instances" }

  builder = var.runner_image_uri == null ? var.runner_image_build.builder : "none"

  # The agents are in the package, beside the directory of this file. A file that is missing is a mistake only if an image
  # is built with it, or if a class starts GitHub's own image. Without it, there is no such image for its architecture.
  agent_files = {
    for arch in distinct(concat([for class in values(var.runner_class_sizes) : class.arch], local.architectures["default"])) :
    arch => coalesce(var.agent[arch], "${path.module}/../agent-${arch}") if contains(["x64", "arm64"], arch)
  }
  agent_needed = distinct(concat(
    local.builder == "none" ? [] : local.architectures["default"],
    [for class in values(var.runner_class_sizes) : class.arch if class.image == "official"],
  ))

  default_uris = var.runner_image_uri == null ? module.image.uris : tomap({ for arch in local.architectures["default"] : arch => var.runner_image_uri })
}

module "network" {
  source = "./modules/network"

  deployment = var.deployment
  tags       = local.tags
  network    = var.network
}

module "state" {
  source = "./modules/state"

  deployment                  = var.deployment
  tags                        = local.tags
  deletion_protection         = var.storage.deletion_protection
  point_in_time_recovery      = var.storage.point_in_time_recovery
  secret_recovery_window_days = var.storage.secret_recovery_window_days
  kms_key_arn                 = try(var.storage.kms_key.arn, null)
  webhook_secrets             = var.webhook_secrets
  boot_roles = {
    control_plane = module.control_plane.role_arn
    tasks         = [module.fleet.task_roles.plain.arn, module.fleet.task_roles.exec.arn]
  }
}

module "image" {
  source = "./modules/image"

  deployment    = var.deployment
  architectures = local.architectures["default"]
  agent         = { for arch, file in local.agent_files : arch => file if contains(local.agent_needed, arch) || fileexists(file) }
  image = merge(
    { for key, value in var.runner_image_build : key => value if value != null },
    { builder = local.builder, tag = var.runner_image_tag },
    # Without such a class the image's hash stays as it is.
    { docker = anytrue([for class in values(local.managed_classes) : coalesce(class.docker, false) && coalesce(class.image, "default") == "default"]) },
  )
  log_retention_days = var.observe.log_retention_days
  tags               = local.tags
  iam                = var.iam
}

moved {
  from = module.image["default"]
  to   = module.image
}

module "fleet" {
  source = "./modules/fleet"

  deployment         = var.deployment
  tags               = local.tags
  iam                = var.iam
  vpc_id             = module.network.vpc_id
  boot_table         = module.state.tables.boot
  container_insights = var.observe.container_insights
  log_retention_days = var.observe.log_retention_days
  kms_key_arn        = try(var.storage.kms_key.arn, null)
  images = merge(
    { for name, uris in { default = local.default_uris, next = module.image.next_uris } : name => uris if length(uris) > 0 },
    { for name, image in var.runner_images : name => { for arch in local.architectures[name] : arch => image.uri } },
  )
  official = { uri = var.official_image, agents = module.image.agent_sha256 }
  classes = {
    for name, class in var.runner_class_sizes : name => {
      image    = coalesce(class.image, "default")
      arch     = class.arch
      cpu      = class.cpu
      memory   = class.memory
      exec     = class.exec
      services = class.services
    } if length(class.services) > 0
  }
  managed_classes = {
    for name, class in local.managed_classes : name => {
      image  = coalesce(class.image, "default")
      arch   = class.arch
      cpu    = class.cpu
      memory = class.memory
      docker = coalesce(class.docker, false)
      gpus   = try(class.gpu.count, 0)
    }
  }
}

module "managed_instances" {
  source   = "./modules/managed_instances"
  for_each = local.managed_classes

  deployment = var.deployment
  tags       = local.tags
  iam        = var.iam
  class = {
    name        = each.key
    cpu         = each.value.cpu
    memory      = each.value.memory
    arch        = each.value.arch
    capacity    = each.value.capacity
    storage_gib = coalesce(each.value.ephemeral_storage_gib, 80)
    gpu         = each.value.gpu
  }
  cluster = module.fleet.cluster
  network = { vpc_id = module.network.vpc_id, subnet_ids = module.network.subnet_ids }
}

module "parameters" {
  source = "./modules/parameters"

  deployment = var.deployment
  tags       = local.tags
  classes    = var.runner_class_sizes
  settings = merge(var.policy, var.costs, {
    repositories = var.allowed_repositories
    registration = { organization = var.github.organization }
    limits       = var.limits
    paces        = var.limits.paces
  })
  facts = {
    state_table      = module.state.tables.state.name
    boot_table       = module.state.tables.boot.name
    boot_owner       = module.fleet.task_roles.plain.unique_id
    boot_owner_exec  = module.fleet.task_roles.exec.unique_id
    cluster          = module.fleet.cluster.arn
    subnets          = module.network.subnet_ids
    security_groups  = [module.fleet.security_group_id]
    assign_public_ip = module.network.assign_public_ip
    task_definitions = module.fleet.task_definitions
    queue_url        = module.control_plane.queues.kicks.url
    webhook_secret   = module.state.secrets.webhook.arn
    github_secret    = module.state.secrets.github.arn
    log_group        = module.fleet.log_group.name
    webhook_sources  = module.webhook.sources
    agents           = module.image.agents
    image = merge(module.image.image, {
      plain = var.runner_image_uri == null && var.runner_image_build.base_image == null && var.runner_image_build.dockerfile_dir == null
    })

    webhook_url        = module.webhook.url
    questions_function = module.control_plane.questions_function
    github_api_url     = local.github_api_url

    service_definitions = module.fleet.service_definitions
    capacity_providers  = { for class, instances in module.managed_instances : class => instances.capacity_providers }
  }
}

module "webhook" {
  source = "./modules/webhook"

  deployment         = var.deployment
  tags               = local.tags
  iam                = var.iam
  source_cidrs       = var.webhook.source_cidrs
  throttle           = var.webhook.throttle
  waf                = var.webhook.waf
  archive_days       = var.webhook.archive_days
  account_log_role   = var.webhook.account_log_role
  log_retention_days = var.observe.log_retention_days
}

module "control_plane" {
  source = "./modules/control_plane"

  deployment     = var.deployment
  tags           = local.tags
  iam            = var.iam
  package        = local.package
  function       = var.control_plane.function
  log            = { level = var.control_plane.log_level, retention_days = var.observe.log_retention_days }
  github_api_url = local.github_api_url
  traces         = var.control_plane.traces
  bus            = module.webhook.bus
  cluster        = module.fleet.cluster
  tables         = module.state.tables
  secrets        = module.state.secrets
  parameter_arns = module.parameters.arns
  kms_key_arn    = var.storage.kms_key
  tasks = {
    definition_arns = module.fleet.task_definition_arns
    role_arns       = [module.fleet.task_roles.plain.arn, module.fleet.task_roles.exec.arn, module.fleet.execution_role_arn]
  }
  runner_log_group = module.fleet.log_group
  # Whether the control plane has instances to look after.
  managed_instances = length(local.managed_classes) > 0
  image = {
    agent_arns = module.image.agent_arns
    repository = module.image.repository
    projects   = module.image.projects
  }
}

module "observe" {
  source = "./modules/observe"

  deployment = var.deployment
  tags       = local.tags
  functions  = { for key, function in module.control_plane.functions : key => function.name }
  queues = {
    kicks_dead  = module.control_plane.queues.kicks_dead.name
    events_dead = module.control_plane.queues.events_dead.name
  }
  rest_api = module.webhook.rest_api
  log_groups = {
    control_plane = module.control_plane.log_groups.control_plane
    sweeper       = module.control_plane.log_groups.sweeper
    runners       = module.fleet.log_group.name
    webhooks      = module.webhook.log_group.name
  }
  projects = { for arch, project in module.image.projects : arch => project.name }
  alarms   = var.observe.alarms
  notify   = { emails = var.observe.emails, topics = var.observe.topics }
}

module "access" {
  source = "./modules/access"

  cluster        = module.fleet.cluster
  state_table    = module.state.tables.state
  parameter_arns = module.parameters.arns
  paused_arn     = module.parameters.paused_arn
  kicks_queue    = module.control_plane.queues.kicks
  dead_letter_arns = [
    module.control_plane.queues.kicks_dead.arn,
    module.control_plane.queues.events_dead.arn,
  ]
  log_groups = compact([
    module.control_plane.log_groups.control_plane,
    module.control_plane.log_groups.sweeper,
    module.fleet.log_group.name,
    module.webhook.log_group.name,
    module.image.log_group,
  ])
  project_arns           = values(module.image.projects)[*].arn
  dashboard_name         = module.observe.dashboard_name
  questions_function_arn = module.control_plane.questions_function_arn
  kms_key_arn            = var.storage.kms_key
}
