# Creates a deployment's storage: two tables and two secrets.
#
# `state` holds open records and history. `boot` holds just-in-time configurations until their tasks take
# them, a minute or two each. Keys and indexes are those of `crates/aws/src/store/item.rs`. Both tables
# are billed per request, so an idle deployment pays nothing for requests.
#
# The webhook's secrets are created here. An operator stores GitHub's credentials, which never pass through
# Terraform: `github` has no version here, so no apply can overwrite it and no state file contains it.

locals {
  name = "ecsrunner-${var.deployment}"

  # Whether secrets are given is not sensitive, and decides which resource is created.
  generated = nonsensitive(var.webhook_secrets == null) ? toset(["webhook"]) : toset([])
  given     = nonsensitive(var.webhook_secrets == null) ? toset([]) : toset(["webhook"])

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
      hash_key        = global_secondary_index.value
      range_key       = "ended_at"
      projection_type = "ALL"
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

# Each plan generates a new one; the version below keeps the first.
data "aws_secretsmanager_random_password" "webhook" {
  for_each = local.generated

  password_length     = 64
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "generated" {
  for_each = local.generated

  secret_id     = aws_secretsmanager_secret.webhook.id
  secret_string = jsonencode([data.aws_secretsmanager_random_password.webhook[each.key].random_password])

  lifecycle {
    ignore_changes = [secret_string]
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
