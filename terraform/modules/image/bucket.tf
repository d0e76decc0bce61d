# The bucket with the agents and the sources of the image. Only Terraform writes into it. Readers name the version of an
# object, so that an apply changes nothing under a launch or a build. It holds nothing secret.

locals {
  # S3 allows ten tags on an object. If there are more, ours are kept first.
  tag_names   = concat([for name in keys(var.tags) : name if startswith(name, "ecsrunner:")], [for name in keys(var.tags) : name if !startswith(name, "ecsrunner:")])
  object_tags = { for name in slice(local.tag_names, 0, min(10, length(local.tag_names))) : name => var.tags[name] }
}

resource "aws_s3_bucket" "build" {
  #checkov:skip=CKV_AWS_18:An access log would need another bucket; CloudTrail's data events can record the reads.
  #checkov:skip=CKV_AWS_144:Everything in it can be written again by an apply.
  #checkov:skip=CKV_AWS_145:It holds nothing secret, and tasks would need a permission to decrypt. S3 encrypts with its own key.
  #checkov:skip=CKV2_AWS_62:Nothing waits for a change of it.
  # Bucket names are global. With the longest deployment and Region this one has 58 characters of the 63 that S3 allows.
  bucket = "${local.name}-${data.aws_caller_identity.current.account_id}-${data.aws_region.current.region}"
  # An apply can write everything again, so destroy deletes all versions.
  force_destroy = true

  tags = var.tags
}

resource "aws_s3_bucket_versioning" "build" {
  bucket = aws_s3_bucket.build.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "build" {
  bucket = aws_s3_bucket.build.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "build" {
  bucket = aws_s3_bucket.build.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "build" {
  bucket = aws_s3_bucket.build.id
  policy = data.aws_iam_policy_document.bucket.json

  # S3 refuses two changes of a bucket's access at the same time.
  depends_on = [aws_s3_bucket_public_access_block.build]
}

resource "aws_s3_bucket_lifecycle_configuration" "build" {
  bucket = aws_s3_bucket.build.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    # All objects.
    filter {}

    # A launch or a build that is under way names a version for at most hours. The rest is for rolling back.
    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.build]
}

resource "aws_s3_object" "agent" {
  #checkov:skip=CKV_AWS_186:As the bucket.
  for_each = var.agent

  bucket             = aws_s3_bucket.build.id
  key                = "agent/${each.key}/ecsrunner-agent"
  source             = each.value
  source_hash        = local.agents[each.key]
  checksum_algorithm = "SHA256"

  tags = local.object_tags

  # The provider's default tags count too.
  override_provider {
    default_tags {
      tags = {}
    }
  }

  # An object that is written before has no version.
  depends_on = [aws_s3_bucket_versioning.build, aws_s3_bucket_server_side_encryption_configuration.build]
}

resource "aws_s3_object" "sources" {
  #checkov:skip=CKV_AWS_186:As the bucket.
  for_each = length(local.codebuild) > 0 ? local.sources : {}

  bucket             = aws_s3_bucket.build.id
  key                = "sources/${local.hash}/${each.key}"
  source             = each.value
  source_hash        = filesha256(each.value)
  checksum_algorithm = "SHA256"

  tags = local.object_tags

  # The provider's default tags count too.
  override_provider {
    default_tags {
      tags = {}
    }
  }

  # The projects name the new sources before the old ones are deleted.
  lifecycle {
    create_before_destroy = true
  }

  depends_on = [aws_s3_bucket_versioning.build, aws_s3_bucket_server_side_encryption_configuration.build]
}

# The list of the sources, from which a build reads what to fetch: a version and a path in each line.
resource "aws_s3_object" "list" {
  #checkov:skip=CKV_AWS_186:As the bucket.
  for_each = length(local.codebuild) > 0 ? { list = "sources/${local.hash}.tsv" } : {}

  bucket             = aws_s3_bucket.build.id
  key                = each.value
  content            = join("", [for path in sort(keys(local.sources)) : "${aws_s3_object.sources[path].version_id}\t${path}\n"])
  checksum_algorithm = "SHA256"

  tags = local.object_tags

  # The provider's default tags count too.
  override_provider {
    default_tags {
      tags = {}
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}
