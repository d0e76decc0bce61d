# Three queues, all encrypted by SQS: kicks, by which a dispatcher that has to stop tells the next one to go on; what
# was no kick or could not be worked off; and events that nobody could be made to take.

resource "aws_sqs_queue" "kicks" {
  name                    = "${local.name}-kicks"
  sqs_managed_sse_enabled = true

  # Six times the function's time-out, as AWS advises, so that a batch is not given out twice.
  visibility_timeout_seconds = 6 * var.function.timeout

  # A kick asks to look at what is open; the sweep does so each minute anyway, so an old one is worth nothing.
  message_retention_seconds = 86400

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.kicks_dead.arn
    maxReceiveCount     = 3
  })
}

resource "aws_sqs_queue" "kicks_dead" {
  name                      = "${local.name}-kicks-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
}

resource "aws_sqs_queue_redrive_allow_policy" "kicks_dead" {
  queue_url = aws_sqs_queue.kicks_dead.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.kicks.arn]
  })
}

# Two weeks, SQS's most, to mend what was wrong and send them again.
resource "aws_sqs_queue" "events_dead" {
  name                      = "${local.name}-events-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
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
