# Writes the parameters that the control plane and the command line read: `deployment`, `settings` and
# `classes` under `/ecsrunner/<deployment>/`, and `paused`, which operators change.
#
# They contain no secrets, so they are plain text and a plan shows what changes. A limit or a pace that is
# not set is left out, so that the code's default applies.

locals {
  documents = {
    # Without a repository there is no such key. A null version of the runner means the newest.
    deployment = merge({ for key, value in var.facts : key => value if key != "capacity_providers" || length(var.facts.capacity_providers) > 0 }, {
      version = 1
      paused  = false
      image   = { for key, value in var.facts.image : key => value if value != null || key == "runner_version" }
    })

    settings = merge(
      { for key, value in var.settings : key => value if !contains(["registration", "limits", "paces", "budget", "repository_budgets"], key) && value != null },
      { for key, budget in { budget = var.settings.budget } : key => { for part, value in budget : part => value if value != null } if budget != null },
      { for key, budgets in { repository_budgets = coalesce(var.settings.repository_budgets, {}) } : key => {
        for pattern, budget in budgets : pattern => { for part, value in budget : part => value if value != null }
      } if length(budgets) > 0 },
      {
        version    = 1
        deployment = var.deployment
        # "repository" or an object: both branches of a conditional must have the same type.
        registration = jsondecode(var.settings.registration.organization == null ? jsonencode("repository") : jsonencode({ organization = var.settings.registration.organization }))
        limits       = { for key, value in var.settings.limits : key => value if value != null }
        paces        = { for key, value in var.settings.paces : key => value if value != null }
      },
    )

    # What is not set is left out, in `warm`, `services`, `budget` and `gpu` too.
    classes = { for name, class in var.classes : name => merge(
      { for key, value in class : key => value if value != null && !contains(["warm", "services", "budget", "gpu"], key) },
      { for key, services in { services = class.services } : key => {
        for service, it in services : service => merge(
          { for part, value in it : part => value if value != null && part != "health" },
          { for part, health in { health = it.health } : part => { for word, value in health : word => value if value != null } if health != null },
        )
      } if length(services) > 0 },
      { for key, gpu in { gpu = class.gpu } : key => { for part, value in gpu : part => value if value != null } if gpu != null },
      { for key, budget in { budget = class.budget } : key => { for part, value in budget : part => value if value != null } if budget != null },
      { for key, warm in { warm = class.warm } : key => { for part, value in warm : part => value if value != null } if warm != null },
    ) }
  }

  texts = { for name, document in local.documents : name => jsonencode(document) }

  # Terraform counts characters, Systems Manager counts bytes: base64 has four characters per three bytes.
  bytes = { for name, text in local.texts : name => floor(length(replace(base64encode(text), "=", "")) * 3 / 4) }
}

resource "aws_ssm_parameter" "document" {
  #checkov:skip=CKV2_AWS_34:It contains no secret, and readers need no permission to decrypt.
  #checkov:skip=CKV_AWS_337:It contains no secret.
  for_each = local.texts

  name        = "/ecsrunner/${var.deployment}/${each.key}"
  description = "ecsrunner: ${each.key}, written by Terraform"
  type        = "String"
  # Up to 4096 bytes are free; up to 8192 bytes cost 5 cents a month.
  tier           = local.bytes[each.key] > 4096 ? "Advanced" : "Standard"
  insecure_value = each.value

  tags = var.tags

  lifecycle {
    precondition {
      condition     = local.bytes[each.key] <= 8192
      error_message = "/ecsrunner/${var.deployment}/${each.key} has ${local.bytes[each.key]} bytes: at most 8192 are expected (Systems Manager's limit). ${each.key == "classes" ? "Define fewer classes in runner_class_sizes" : each.key == "settings" ? "Use patterns such as `owner/*` instead of single repositories" : "Define fewer images in runner_images"}."
    }
  }
}

# `ecsrunner pause` writes "true". No apply resumes launches that an operator has stopped.
resource "aws_ssm_parameter" "paused" {
  #checkov:skip=CKV2_AWS_34:It contains no secret, and readers need no permission to decrypt.
  #checkov:skip=CKV_AWS_337:It contains no secret.
  name            = "/ecsrunner/${var.deployment}/paused"
  description     = "ecsrunner: whether launches are held back, written by `ecsrunner pause`"
  type            = "String"
  value           = "false"
  allowed_pattern = "^(true|false)$"
  tags            = var.tags

  lifecycle {
    ignore_changes = [value]
  }
}
