# Creates a deployment's storage: two tables and two secrets.
#
# `state` holds open records and history. `boot` holds just-in-time configurations until their tasks take
# them, a minute or two each. Keys and indexes are those of `crates/aws/src/store/item.rs`. Both tables
# are billed per request, so an idle deployment pays nothing for requests.
#
# `ecsrunner setup` stores the webhook's secrets and GitHub's credentials. They never pass through Terraform: the
# secrets are created without a value, so no apply can overwrite one and no state file contains one. Only
# `webhook_secrets`, if given, is written here.

locals {
  name = "ecsrunner-${var.deployment}"

  # Whether secrets are given is not sensitive, and decides whether the resource is created.
  given = nonsensitive(var.webhook_secrets == null) ? toset([]) : toset(["webhook"])

  # The sort key of every index is the time of the ending.
  indexes = { by_month = "month", by_repository = "repository", by_runner = "runner" }
}

resource "aws_dynamodb_table" "state" {
  #checkov:skip=CKV_AWS_28:point_in_time_recovery is true by default; from the root, checkov does not read the default of an optional attribute.
  #checkov:skip=CKV_AWS_119:The default is AWS's own key, which is free; kms_key_arn sets another.
  name         = "${local.name}-state"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  dynamic "attribute" {
    for_each = merge({ ended_at = "N" }, { for name in concat(["pk", "sk"], values(local.indexes)) : name => "S" })
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = local.indexes
    content {
      name            = global_secondary_index.key
      projection_type = "ALL"

      # `hash_key` and `range_key` of an index are deprecated since version 6.28 of the provider. Its first versions with
      # `key_schema` planned the indexes again each time (hashicorp/terraform-provider-aws 46335, fixed in February 2026):
      # `terraform init -upgrade` brings a newer one. Deprecated arguments would have to change in version 7 anyway.
      key_schema {
        attribute_name = global_secondary_index.value
        key_type       = "HASH"
      }

      key_schema {
        attribute_name = "ended_at"
        key_type       = "RANGE"
      }
    }
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  # Without this block DynamoDB encrypts with its own key.
  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }

  deletion_protection_enabled = var.deletion_protection

  tags = var.tags
}

resource "aws_dynamodb_table" "boot" {
  #checkov:skip=CKV_AWS_28:A configuration works once, and a task that takes it relies on being its only holder. A restored copy would break that.
  #checkov:skip=CKV_AWS_119:With a customer's key every task role would need permission to decrypt, and a job could try what else that key decrypts.
  name         = "${local.name}-boot"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "owner"

  attribute {
    name = "owner"
    type = "S"
  }

  # A last resort: items are usually taken or revoked long before.
  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = false
  }

  deletion_protection_enabled = var.deletion_protection

  tags = var.tags
}

resource "aws_secretsmanager_secret" "webhook" {
  #checkov:skip=CKV_AWS_149:The default is the account's key aws/secretsmanager, which is free; kms_key_arn sets another.
  #checkov:skip=CKV2_AWS_57:GitHub needs each new webhook secret, and no rotation function here may set it there. With a list of secrets, an operator can replace one at any time.
  name                    = "ecsrunner/${var.deployment}/webhook"
  description             = "Secrets of the GitHub webhook: a JSON list, any of which is accepted"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_window_days
  tags                    = var.tags
}

# Earlier versions generated a secret. Its value stays, and is no longer in Terraform's state.
removed {
  from = aws_secretsmanager_secret_version.generated

  lifecycle {
    destroy = false
  }
}

resource "aws_secretsmanager_secret_version" "given" {
  for_each = local.given

  secret_id     = aws_secretsmanager_secret.webhook.id
  secret_string = jsonencode(var.webhook_secrets)
}

resource "aws_secretsmanager_secret" "github" {
  #checkov:skip=CKV_AWS_149:The default is the account's key aws/secretsmanager, which is free; kms_key_arn sets another.
  #checkov:skip=CKV2_AWS_57:GitHub creates a new App key only for a logged-in user.
  name                    = "ecsrunner/${var.deployment}/github"
  description             = "The GitHub App's id and private key, or a token; set by an operator"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_window_days
  tags                    = var.tags
}
