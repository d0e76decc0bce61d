# What other modules use of the control plane.

output "functions" {
  description = "The two functions."
  value = {
    for key, function in aws_lambda_function.functions : key => {
      name = function.function_name
      arn  = function.arn
    }
  }
}

output "queues" {
  description = "The queue of kicks, and the two dead-letter queues."
  value = {
    kicks       = { name = aws_sqs_queue.kicks.name, arn = aws_sqs_queue.kicks.arn, url = aws_sqs_queue.kicks.url }
    kicks_dead  = { name = aws_sqs_queue.kicks_dead.name, arn = aws_sqs_queue.kicks_dead.arn }
    events_dead = { name = aws_sqs_queue.events_dead.name, arn = aws_sqs_queue.events_dead.arn }
  }
}

output "log_groups" {
  description = "Names of the functions' log groups."
  value       = { for key, group in aws_cloudwatch_log_group.functions : key => group.name }
}

output "role_arn" {
  description = "The functions' role."
  value       = aws_iam_role.functions.arn
}

# The name is not the resource's attribute: the parameters, which the function may read, have it.
output "questions_function" {
  description = "Name of the function that answers operators' questions to GitHub."
  value       = "${local.name}-questions"
}

output "questions_function_arn" {
  description = "ARN of the function that answers operators' questions to GitHub."
  value       = aws_lambda_function.questions.arn
}
