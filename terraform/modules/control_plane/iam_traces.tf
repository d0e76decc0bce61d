# The secret with the headers of the OTLP endpoint, if there is one: that secret alone, and its key for it alone.

resource "aws_iam_role_policy" "functions_traces" {
  for_each = local.headers_secrets

  name   = "traces"
  role   = aws_iam_role.functions.id
  policy = data.aws_iam_policy_document.functions_traces[each.key].json
}

data "aws_iam_policy_document" "functions_traces" {
  for_each = local.headers_secrets

  statement {
    sid       = "Headers"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [each.value]
  }

  dynamic "statement" {
    for_each = local.headers_keys

    content {
      sid       = "HeadersKey"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:SecretARN"
        values   = [each.value]
      }
    }
  }
}
