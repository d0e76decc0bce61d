# The functions' archive, and the checks that it is the given one.
#
# A file is hashed here. An object in S3 is named by its version, which cannot be changed, and by its SHA-256 hash. The
# plan compares the hash with the one that S3 computed at the upload. After an update, and in each plan, the hash is
# compared with the one that Lambda has computed of the code that runs.

locals {
  in_s3 = var.package.s3_bucket == null ? {} : { archive = var.package }

  # AWS has hashes in base64. Terraform has no function for hexadecimal bytes: each becomes the character of that number
  # in Latin-1.
  given_hash = {
    for key, package in local.in_s3 : key => textencodebase64(
      join("", [for byte in range(32) : jsondecode("\"\\u00${substr(package.sha256, 2 * byte, 2)}\"")]),
      "ISO-8859-1",
    )
  }

  code_hash = var.package.filename == null ? one(values(local.given_hash)) : filebase64sha256(var.package.filename)
}

data "aws_s3_object" "archive" {
  for_each = local.in_s3

  bucket        = each.value.s3_bucket
  key           = each.value.s3_key
  version_id    = each.value.s3_object_version
  checksum_mode = "ENABLED"

  lifecycle {
    # S3 has a hash of the whole object only if it was asked for one, and the object came in one part.
    postcondition {
      condition     = self.checksum_sha256 == local.given_hash[each.key]
      error_message = "control_plane.package.sha256 is `${each.value.sha256}`, but version `${each.value.s3_object_version}` of s3://${each.value.s3_bucket}/${each.value.s3_key} has the SHA-256 checksum `${coalesce(self.checksum_sha256, "none")}` and not `${local.given_hash[each.key]}` (in base64). If it has none, upload it by `aws s3api put-object --checksum-algorithm SHA256 --bucket ${each.value.s3_bucket} --key ${each.value.s3_key} --body FILE`."
    }
  }
}

# Read after an update, and in a plan that updates nothing.
data "aws_lambda_function" "deployed" {
  for_each = merge({ for key, function in local.functions : key => function.name }, { questions = "${local.name}-questions" })

  function_name = each.value

  depends_on = [aws_lambda_function.functions, aws_lambda_function.questions]

  lifecycle {
    postcondition {
      condition     = self.code_sha256 == local.code_hash
      error_message = "The code of `${each.value}` has the SHA-256 hash `${self.code_sha256}`, but the given archive has `${local.code_hash}` (in base64). It was replaced outside of Terraform. Find out who did that. To deploy the archive again, apply with `-replace` and the address of aws_lambda_function.${each.key == "questions" ? each.key : "functions[\"${each.key}\"]"}."
    }
  }
}
