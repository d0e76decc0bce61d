# Who may touch a boot item, whatever their own policies allow: the control plane writes and deletes items, a task
# deletes its own. Nobody reads them. Without this policy, read access to the account would be enough to take a runner:
# AWS's read-only policies include GetItem, Query and Scan.
#
# The policy names only actions that DynamoDB supports in a table's policy ("DynamoDB API operations supported by
# resource-based policies"); TransactGetItems is GetItem to IAM. It leaves alone what Terraform needs: Describe*,
# UpdateTable, DeleteTable, tags, and the policy itself. So an administrator of the account can remove it.
#
# Three ways remain:
# - Streams: a stream has a policy of its own, and UpdateTable, which would create one, also changes everything else of
#   the table. Only an administrator may call it.
# - Restores of a backup: they are authorized on the backup. No backup can be made, so there is none.
# - Global tables: a replica is filled by a role of DynamoDB's own, to which the denials below apply, so it cannot be
#   added.

data "aws_iam_policy_document" "boot" {
  statement {
    sid    = "NobodyReads"
    effect = "Deny"
    actions = [
      # UpdateItem and a failed ConditionCheckItem can return the item. BatchWriteItem and PartiQL are not used here.
      "dynamodb:BatchGetItem",
      "dynamodb:BatchWriteItem",
      "dynamodb:ConditionCheckItem",
      "dynamodb:GetItem",
      "dynamodb:PartiQLDelete",
      "dynamodb:PartiQLInsert",
      "dynamodb:PartiQLSelect",
      "dynamodb:PartiQLUpdate",
      "dynamodb:Query",
      "dynamodb:UpdateItem",
      # Scan, and StartAwsBackupJob of AWS Backup. DynamoDB does not list the latter among the actions that a table's
      # policy may name, and could refuse a policy that names it.
      "dynamodb:S*",
      # Copies of the table.
      "dynamodb:CreateBackup",
      "dynamodb:EnableKinesisStreamingDestination",
      "dynamodb:ExportTableToPointInTime",
      "dynamodb:RestoreTableToPointInTime",
      "dynamodb:UpdateContinuousBackups",
      "dynamodb:UpdateKinesisStreamingDestination",
    ]
    resources = [aws_dynamodb_table.boot.arn]

    # `*`: the denial applies to every principal, also to ours.
    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }

  # PutItem can return the item that it replaces.
  statement {
    sid       = "OnlyTheControlPlaneWrites"
    effect    = "Deny"
    actions   = ["dynamodb:PutItem"]
    resources = [aws_dynamodb_table.boot.arn]

    # `*`: the condition excepts the control plane.
    principals {
      type        = "*"
      identifiers = ["*"]
    }

    # For a session of a role, this key holds the role's ARN. Where it is missing, the denial applies.
    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [var.boot_roles.control_plane]
    }
  }

  # DeleteItem can return the item: a task takes its configuration in this way.
  statement {
    sid       = "OnlyTasksTake"
    effect    = "Deny"
    actions   = ["dynamodb:DeleteItem"]
    resources = [aws_dynamodb_table.boot.arn]

    # `*`: the condition excepts the tasks' roles, since each may delete its own item, and the control plane, which
    # takes items back.
    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = concat(var.boot_roles.tasks, [var.boot_roles.control_plane])
    }
  }
}

resource "aws_dynamodb_resource_policy" "boot" {
  resource_arn = aws_dynamodb_table.boot.arn
  policy       = data.aws_iam_policy_document.boot.json
}
