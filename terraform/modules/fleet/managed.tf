# Classes on ECS Managed Instances: a task definition for each, since no other may run there, and only those of Docker classes
# are privileged. The instances are those of the module managed_instances.
#
# A privileged container is root of its instance. The task's role is the one without ECS Exec.

variable "managed_classes" {
  description = "The classes on ECS Managed Instances, by name, with the keys of `runner_class_sizes` that a task definition has."
  type = map(object({
    image  = string
    arch   = string
    cpu    = number
    memory = number
    docker = bool
    gpus   = optional(number, 0)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for class in values(var.managed_classes) : !(class.docker && class.image == "official")])
    error_message = "runner_class_sizes: ${join("; ", [for name, class in var.managed_classes : "class `${name}` has `docker = true` and `image = \"official\"`" if class.docker && class.image == "official"])}: GitHub's own image lacks `iptables`, which a Docker engine needs. Leave `image` away, or name one of runner_images that was built with `--build-arg VARIANT=docker`."
  }
}

locals {
  # Where the agent keeps its Docker engine. It is on a volume of the instance: an engine cannot keep its layers on the
  # layers of its own container.
  docker_dir = "/var/lib/ecsrunner-docker"

  # The images from which a runner of such a class may start, by `<class>/<image>`: its own, and those that stand in for
  # the default image. GitHub's own lacks what a Docker engine needs.
  managed_variants = merge([
    for name, class in var.managed_classes : {
      for image in distinct(concat([class.image], class.image != "default" ? [] : class.docker ? ["next"] : ["next", "official"])) : "${name}/${image}" => {
        class  = name
        image  = image
        family = "${local.name}-managed_${name}_${image}"
        runner = "${image}/${class.arch}"
      } if contains(keys(local.runners), "${image}/${class.arch}")
    }
  ]...)

  # The runner's container: with what a Docker engine needs if its class has `docker`, and with all GPUs of its instance if it
  # has `gpu`.
  managed_containers = {
    for key, variant in local.managed_variants : key => merge(
      local.runners[variant.runner],
      { for name, value in {
        privileged  = true
        mountPoints = [{ sourceVolume = "docker", containerPath = local.docker_dir, readOnly = false }]
      } : name => value if var.managed_classes[variant.class].docker },
      { for name, value in {
        resourceRequirements = [{ type = "GPU", value = tostring(var.managed_classes[variant.class].gpus) }]
      } : name => value if var.managed_classes[variant.class].gpus > 0 },
      # A class without either has the container as it is.
      { for name, value in { environment = concat(
        try(local.runners[variant.runner].environment, []),
        [for value in [local.docker_dir] : { name = "ECSRUNNER_DOCKER_DIR", value = value } if var.managed_classes[variant.class].docker],
        # NVIDIA's runtime otherwise gives a container without CUDA's own variables a part of the driver.
        [for value in ["all"] : { name = "NVIDIA_DRIVER_CAPABILITIES", value = value } if var.managed_classes[variant.class].gpus > 0],
      ) } : name => value if var.managed_classes[variant.class].docker || var.managed_classes[variant.class].gpus > 0 },
    )
  }
}

resource "aws_ecs_task_definition" "managed" {
  #checkov:skip=CKV_AWS_336:Runner and job write to the container's disk.
  #checkov:skip=CKV_AWS_249:Task role and execution role differ, but both are unknown at plan time.
  #checkov:skip=CKV_AWS_334:A Docker engine needs a privileged container. Its instance serves this one job only.
  for_each = local.managed_variants

  family                   = each.value.family
  requires_compatibilities = ["MANAGED_INSTANCES"]
  network_mode             = "awsvpc"
  # What the task reserves of its instance: more than half, or it also reserves all GPUs.
  cpu    = var.managed_classes[each.value.class].cpu
  memory = var.managed_classes[each.value.class].memory

  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.task["plain"].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = local.architectures[var.managed_classes[each.value.class].arch]
  }

  dynamic "volume" {
    for_each = var.managed_classes[each.value.class].docker ? ["docker"] : []
    content {
      name = volume.value
    }
  }

  container_definitions = jsonencode([local.managed_containers[each.key]])

  # A launch in progress names the previous revision.
  skip_destroy = true
  track_latest = false

  tags = var.tags
}
