# Writes what the control plane and the command line read: `deployment`, `settings` and `classes` under
# `/ecsrunner/<deployment>/`, and `paused`, which is the operator's.
#
# Nothing in them is secret, so they are plain text and a plan shows what changes. A limit or a pace that
# nobody sets is left out, so that its default is the code's.

locals {
  documents = {
    deployment = merge(var.facts, { version = 1, paused = false })

    settings = merge(
      { for key, value in var.settings : key => value if !contains(["registration", "limits", "paces"], key) },
      {
        version    = 1
        deployment = var.deployment
        # "repository", or an object: the two branches of a conditional have to be of one type.
        registration = jsondecode(var.settings.registration.organization == null ? jsonencode("repository") : jsonencode({ organization = var.settings.registration.organization }))
        limits       = { for key, value in var.settings.limits : key => value if value != null }
        paces        = { for key, value in var.settings.paces : key => value if value != null }
      },
    )

    classes = { for name, class in var.classes : name => { for key, value in class : key => value if value != null } }
  }

  texts = { for name, document in local.documents : name => jsonencode(document) }

  # Terraform counts characters, Systems Manager bytes: four characters of base64 for each three.
  bytes = { for name, text in local.texts : name => floor(length(replace(base64encode(text), "=", "")) * 3 / 4) }
}

resource "aws_ssm_parameter" "document" {
  #checkov:skip=CKV2_AWS_34:There is no secret in it, and whoever reads it need not decrypt.
  #checkov:skip=CKV_AWS_337:There is no secret in it.
  for_each = local.texts

  name        = "/ecsrunner/${var.deployment}/${each.key}"
  description = "ecsrunner: ${each.key}, written by Terraform"
  type        = "String"
  # 4096 bytes cost nothing; twice that costs five cents a month.
  tier           = local.bytes[each.key] > 4096 ? "Advanced" : "Standard"
  insecure_value = each.value

  lifecycle {
    precondition {
      condition     = local.bytes[each.key] <= 8192
      error_message = "/ecsrunner/${var.deployment}/${each.key} would take ${local.bytes[each.key]} bytes, and Systems Manager holds 8192. ${each.key == "classes" ? "Fewer classes in runner_class_sizes" : each.key == "settings" ? "Patterns such as `owner/*` in place of single repositories" : "Fewer images in runner_images"} will do."
    }
  }
}

# `ecsrunner pause` writes "true": no apply lets launches go on that an operator has stopped.
resource "aws_ssm_parameter" "paused" {
  #checkov:skip=CKV2_AWS_34:There is no secret in it, and whoever reads it need not decrypt.
  #checkov:skip=CKV_AWS_337:There is no secret in it.
  name            = "/ecsrunner/${var.deployment}/paused"
  description     = "ecsrunner: whether launches are held back, written by `ecsrunner pause`"
  type            = "String"
  value           = "false"
  allowed_pattern = "^(true|false)$"

  lifecycle {
    ignore_changes = [value]
  }
}
