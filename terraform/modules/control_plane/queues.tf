# Three queues, all encrypted by SQS: kicks, with which a dispatcher that must stop asks the next one to continue;
# messages that are not kicks or could not be processed; and events that could not be delivered or processed.

resource "aws_sqs_queue" "kicks" {
  name                    = "${local.name}-kicks"
  sqs_managed_sse_enabled = true

  # Six times the function's timeout, as AWS advises, so that a batch is not delivered twice.
  visibility_timeout_seconds = 6 * var.function.timeout

  # A kick requests a round. The sweep runs one each minute anyway, so an old kick is not needed.
  message_retention_seconds = 86400

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.kicks_dead.arn
    maxReceiveCount     = 3
  })

  tags = var.tags
}

resource "aws_sqs_queue" "kicks_dead" {
  name                      = "${local.name}-kicks-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_sqs_queue_redrive_allow_policy" "kicks_dead" {
  queue_url = aws_sqs_queue.kicks_dead.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.kicks.arn]
  })
}

# Two weeks, SQS's maximum, to fix the cause and send the messages again.
resource "aws_sqs_queue" "events_dead" {
  name                      = "${local.name}-events-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "events_dead" {
  queue_url = aws_sqs_queue.events_dead.id
  policy    = data.aws_iam_policy_document.events_dead.json
}

resource "aws_sqs_queue_policy" "kicks" {
  for_each = {
    kicks      = aws_sqs_queue.kicks.id
    kicks_dead = aws_sqs_queue.kicks_dead.id
  }

  queue_url = each.value
  policy    = data.aws_iam_policy_document.kicks[each.key].json
}
