# The documents, for policies of your own.

output "policies" {
  description = "JSON of the policies: `viewer` reads, `operator` also pauses, stops, retries and opens shells."
  value = {
    viewer   = data.aws_iam_policy_document.viewer.json
    operator = data.aws_iam_policy_document.operator.json
  }
}
