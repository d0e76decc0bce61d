# Makes what a deployment remembers: two tables and two secrets.
#
# `state` holds what is open and what was, `boot` the just-in-time configurations that wait for their
# task, a minute or two each. Keys and indexes are those of `crates/aws/src/store/item.rs`; both tables
# are paid by request, so that they cost nothing while nothing happens.
#
# The webhook's secrets are made here. GitHub's credentials are put in by a person and never pass through
# Terraform: `github` has no version here, so no apply can overwrite it and no state file holds it.

locals {
  name = "ecsrunner-${var.deployment}"

  # Whether it is given is no secret, and decides which resource there is.
  generated = nonsensitive(var.webhook_secrets == null) ? toset(["webhook"]) : toset([])
  given     = nonsensitive(var.webhook_secrets == null) ? toset([]) : toset(["webhook"])

  # Every index has the time of the ending as its sort key.
  indexes = { by_month = "month", by_repository = "repository", by_runner = "runner" }
}

resource "aws_dynamodb_table" "state" {
  #checkov:skip=CKV_AWS_28:point_in_time_recovery is true by default; from the root, checkov does not read the default of an optional attribute.
  #checkov:skip=CKV_AWS_119:The default is a key of AWS's own, which costs nothing; kms_key_arn sets another.
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

  # Without this block DynamoDB encrypts too, with a key of its own.
  dynamic "server_side_encryption" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }

  deletion_protection_enabled = var.deletion_protection
}

resource "aws_dynamodb_table" "boot" {
  #checkov:skip=CKV_AWS_28:A configuration works once, and whoever takes it must know that nobody else holds it: a restored copy would break that.
  #checkov:skip=CKV_AWS_119:With a key of one's own the role of every task would have to be allowed to decrypt, and a job could try what else that key opens.
  name         = "${local.name}-boot"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "owner"

  attribute {
    name = "owner"
    type = "S"
  }

  # A last resort: items are taken or revoked long before.
  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = false
  }

  deletion_protection_enabled = var.deletion_protection
}

resource "aws_secretsmanager_secret" "webhook" {
  #checkov:skip=CKV_AWS_149:The default is the account's key aws/secretsmanager, which costs nothing; kms_key_arn sets another.
  #checkov:skip=CKV2_AWS_57:GitHub has to be told a new webhook secret, which no rotation function here may do; a list of secrets lets a person replace one at leisure.
  name                    = "ecsrunner/${var.deployment}/webhook"
  description             = "Secrets of the GitHub webhook, a JSON list; any of them will do"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_window_days
}

# Each plan draws another one; the version below keeps the first.
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
  #checkov:skip=CKV_AWS_149:The default is the account's key aws/secretsmanager, which costs nothing; kms_key_arn sets another.
  #checkov:skip=CKV2_AWS_57:GitHub makes a new App key only for a person who is logged in.
  name                    = "ecsrunner/${var.deployment}/github"
  description             = "The GitHub App's id and private key, or a token; put in by a person"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.secret_recovery_window_days
}
