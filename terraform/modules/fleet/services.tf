# Classes that declare services: a task definition for each, with a container for each service beside the runner's.
#
# RunTask cannot add a container, so no other definition can serve such a class. The task's role is the one without
# ECS Exec. ECS puts the address of the task's credentials into every container, and a job can read it through a
# service. The rules here are also rules of the control plane (`crates/core/src/rules/service.rs`).

variable "classes" {
  description = "The classes that declare services, by name, with the keys of `runner_class_sizes` that a task definition has."
  type = map(object({
    image  = string
    arch   = string
    cpu    = number
    memory = number
    exec   = bool
    services = map(object({
      image   = string
      port    = number
      env     = optional(map(string))
      command = optional(list(string))
      health = optional(object({
        command       = string
        interval_secs = optional(number)
        retries       = optional(number)
      }))
      cpu     = optional(number)
      memory  = optional(number)
      process = optional(list(string))
    }))
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for class in values(var.classes) : length(class.services) <= 9])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has ${length(class.services)} services" if !(length(class.services) <= 9)])}. At most 9 are expected, since ECS starts at most 10 containers in a task and one is the runner's."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : !class.exec])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has services and exec" if !(!class.exec)])}. One of them alone is expected. A job could use the identity of its task through a service, and `exec` gives that identity more permissions."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", service)) && service != "runner"]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}`" if !(can(regex("^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$", service)) && service != "runner")]]))}. 1 to 32 characters of a-z, 0-9 and - are expected, beginning and ending with a letter or digit, and not `runner`, which is the runner's own container."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : can(regex(local.service_image, it.image))]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with the image `${it.image}`" if !(can(regex(local.service_image, it.image)))]]))}. A name such as `postgres:17` or `ghcr.io/acme/db:1@sha256:DIGEST` is expected."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : it.port >= 1 && it.port <= 65535 && floor(it.port) == it.port]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with port ${it.port}" if !(it.port >= 1 && it.port <= 65535 && floor(it.port) == it.port)]]))}. A whole number from 1 to 65535 is expected."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : length(distinct([for it in values(class.services) : it.port])) == length(class.services)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has services with the ports ${join(", ", [for it in values(class.services) : it.port])}" if !(length(distinct([for it in values(class.services) : it.port])) == length(class.services))])}. Different ports are expected, since all services of a task share its network."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : length(distinct([for it in values(class.services) : trimprefix(trimprefix(can(regex(":[^/]*$", it.image)) ? it.image : "${it.image}:latest", "docker.io/"), "library/")])) == length(class.services)])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "class `${name}` has services with the images ${join(", ", [for it in values(class.services) : it.image])}" if !(length(distinct([for it in values(class.services) : trimprefix(trimprefix(can(regex(":[^/]*$", it.image)) ? it.image : "${it.image}:latest", "docker.io/"), "library/")])) == length(class.services))])}. Different images are expected, since GitHub tells a runner only the image of a service and not its name."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : alltrue([for variable in keys(coalesce(it.env, {})) : can(regex(local.service_variable, variable))])]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with the variables ${join(", ", [for variable in keys(coalesce(it.env, {})) : "`${variable}`" if !can(regex(local.service_variable, variable))])} in env" if !(alltrue([for variable in keys(coalesce(it.env, {})) : can(regex(local.service_variable, variable))]))]]))}. Letters, digits and `_` are expected, and no digit at the start."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : it.command == null || try(length(it.command[0]) > 0, false)]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with an empty command" if !(it.command == null || try(length(it.command[0]) > 0, false))]]))}. A program and its arguments are expected, or no command for the image's own."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : it.process == null]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with a process" if !(it.process == null)]]))}. `process` is for `ecsrunner local`: on ECS the container of the image runs."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : try(length(trimspace(it.health.command)) > 0, it.health == null)]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with an empty health.command" if !(try(length(trimspace(it.health.command)) > 0, it.health == null))]]))}. A command line is expected, such as `pg_isready`."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : try(it.health.interval_secs >= 1 && it.health.interval_secs <= 300 && floor(it.health.interval_secs) == it.health.interval_secs, true)]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with health.interval_secs ${try(it.health.interval_secs, 0)}" if !(try(it.health.interval_secs >= 1 && it.health.interval_secs <= 300 && floor(it.health.interval_secs) == it.health.interval_secs, true))]]))}. A whole number from 1 to 300 is expected, or null for 2."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : try(it.health.retries >= 1 && it.health.retries <= 100 && floor(it.health.retries) == it.health.retries, true)]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with health.retries ${try(it.health.retries, 0)}" if !(try(it.health.retries >= 1 && it.health.retries <= 100 && floor(it.health.retries) == it.health.retries, true))]]))}. A whole number from 1 to 100 is expected, or null for 30."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : coalesce(it.memory, 6) >= 6 && floor(coalesce(it.memory, 6)) == coalesce(it.memory, 6)]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with memory ${coalesce(it.memory, 6)}" if !(coalesce(it.memory, 6) >= 6 && floor(coalesce(it.memory, 6)) == coalesce(it.memory, 6))]]))}. A whole number of at least 6 (MiB) is expected, or null for what the others leave."
  }

  validation {
    condition     = alltrue(flatten([for class in values(var.classes) : [for service, it in class.services : coalesce(it.cpu, 1) >= 1 && floor(coalesce(it.cpu, 1)) == coalesce(it.cpu, 1)]]))
    error_message = "runner_class_sizes: ${join("; ", flatten([for name, class in var.classes : [for service, it in class.services : "class `${name}` has the service `${service}` with cpu ${coalesce(it.cpu, 1)}" if !(coalesce(it.cpu, 1) >= 1 && floor(coalesce(it.cpu, 1)) == coalesce(it.cpu, 1))]]))}. A whole number of at least 1 is expected, or null for what the others leave."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : sum(concat([0], [for it in values(class.services) : coalesce(it.memory, 0)])) == 0 || sum(concat([0], [for it in values(class.services) : coalesce(it.memory, 0)])) + 512 <= class.memory])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "the services of class `${name}` have memory ${sum(concat([0], [for it in values(class.services) : coalesce(it.memory, 0)]))} together, of ${class.memory}" if !(sum(concat([0], [for it in values(class.services) : coalesce(it.memory, 0)])) == 0 || sum(concat([0], [for it in values(class.services) : coalesce(it.memory, 0)])) + 512 <= class.memory)])}. At least 512 MiB must be left for the runner."
  }

  validation {
    condition     = alltrue([for class in values(var.classes) : sum(concat([0], [for it in values(class.services) : coalesce(it.cpu, 0)])) == 0 || sum(concat([0], [for it in values(class.services) : coalesce(it.cpu, 0)])) + 128 <= class.cpu])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.classes : "the services of class `${name}` have cpu ${sum(concat([0], [for it in values(class.services) : coalesce(it.cpu, 0)]))} together, of ${class.cpu}" if !(sum(concat([0], [for it in values(class.services) : coalesce(it.cpu, 0)])) == 0 || sum(concat([0], [for it in values(class.services) : coalesce(it.cpu, 0)])) + 128 <= class.cpu)])}. At least 128 CPU units must be left for the runner."
  }
}

locals {
  service_variable = "^[A-Za-z_][A-Za-z0-9_]*$"

  # The form of an image's name. Whether two names are of one image in all spellings is checked by `ecsrunner classes
  # check`.
  service_image = "^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$"

  # The images from which a runner of such a class may start, by `<class>/<image>`: its own, and those that stand in for
  # the default image.
  service_variants = merge([
    for name, class in var.classes : {
      for image in distinct(concat([class.image], class.image == "default" ? ["next", "official"] : [])) : "${name}/${image}" => {
        class  = name
        image  = image
        family = "${local.name}-services_${name}_${image}"
        runner = "${image}/${class.arch}"
      } if contains(keys(local.runners), "${image}/${class.arch}")
    }
  ]...)

  # The containers of a class's services. Nothing depends on anything, so that images are pulled in parallel, and none is
  # essential, so that a service that ends does not end the job.
  service_containers = {
    for name, class in var.classes : name => [
      for service, it in class.services : merge(
        {
          name                   = service
          image                  = it.image
          essential              = false
          readonlyRootFilesystem = false
          environment            = [for variable, value in coalesce(it.env, {}) : { name = variable, value = value }]
          logConfiguration       = local.log
          # The task ends with the runner. Nothing in a service has to be saved.
          stopTimeout = 5
        },
        { for key, value in { command = it.command, cpu = it.cpu, memory = it.memory } : key => value if value != null },
        { for key, health in { healthCheck = it.health } : key => {
          command                          = ["CMD-SHELL", health.command]
          # ECS allows 5 to 300 seconds, 10 retries, and 300 seconds in which failures do not count.
          interval    = max(5, coalesce(health.interval_secs, 2))
          timeout     = 5
          retries     = 10
          startPeriod = min(300, coalesce(health.interval_secs, 2) * coalesce(health.retries, 30))
        } if health != null },
      )
    ]
  }
}

resource "aws_ecs_task_definition" "services" {
  #checkov:skip=CKV_AWS_336:Services, runner and job write to their containers' disks.
  #checkov:skip=CKV_AWS_249:Task role and execution role differ, but both are unknown at plan time.
  for_each = local.service_variants

  family                   = each.value.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  # ECS compares the containers' sizes with these. RunTask sets the same.
  cpu    = var.classes[each.value.class].cpu
  memory = var.classes[each.value.class].memory

  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.task["plain"].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = local.architectures[var.classes[each.value.class].arch]
  }

  container_definitions = jsonencode(concat([local.runners[each.value.runner]], local.service_containers[each.value.class]))

  # A launch in progress names the previous revision.
  skip_destroy = true
  track_latest = false

  tags = var.tags
}
