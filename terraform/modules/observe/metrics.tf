# ecsrunner's metrics that the dashboard and alarms read, each listed once. This module can use no other name.
# xtask/terraform/metrics.py compares the list with docs/metrics.md, and a test compares that file with the code.

locals {
  metrics = {
    for name in [
      "WebhooksAccepted", "WebhooksIgnored", "InvalidSignatures", "UnreadableWebhooks",
      "JobsSucceeded", "JobsFailed", "JobsCancelled", "JobsEndedOtherwise", "JobsRefused", "JobsOpen", "JobsStuck",
      "QueueWait", "TimeToRecord", "TimeToLaunch", "TimeToBoot", "TimeToBusy",
      "RunnersOpen", "RunnersCompleted", "RunnersSurplus", "RunnersIdleTimeout", "RunnersBootFailed",
      "RunnersAgentCrashed", "RunnersSpotInterrupted", "RunnersRegistrationLost", "RunnersJobTimeout",
      "RunnersStoppedByOperator", "RunnersRefused",
      "WarmTasks", "WarmUsed", "WarmFailed", "WarmCost", "Cost",
      "RetriesNoCapacity", "RetriesThrottled", "RetriesOther", "LaunchesHeld", "BreakersOpen",
      "Repairs", "OrphansStopped", "RegistrationsDeleted", "DeliveriesReinjected", "JobsDiscovered",
      "SweepFailures", "SweepBehind", "RecordsUnreadable", "RunnerVersionDaysLeft",
      "BudgetsSpent", "TracesDropped",
    ] : name => { namespace = "ecsrunner", name = name, dimensions = { Deployment = var.deployment } }
  }

  # AWS's own metrics of the deployment's resources.
  lambda = {
    for key, function in var.functions : key => {
      for name in ["Invocations", "Errors", "Throttles", "Duration", "RecursiveInvocationsDropped"] :
      name => { namespace = "AWS/Lambda", name = name, dimensions = { FunctionName = function } }
    }
  }

  sqs = {
    for key, queue in var.queues : key => {
      for name in ["ApproximateNumberOfMessagesVisible"] :
      name => { namespace = "AWS/SQS", name = name, dimensions = { QueueName = queue } }
    }
  }

  builds = {
    for arch, project in var.projects :
    arch => { namespace = "AWS/CodeBuild", name = "FailedBuilds", dimensions = { ProjectName = project } }
  }

  api = {
    for name in ["4XXError", "5XXError"] :
    name => { namespace = "AWS/ApiGateway", name = name, dimensions = { ApiName = var.rest_api.name, Stage = var.rest_api.stage } }
  }
}
