# The dashboard: first jobs, then runners and what delays them, then the control plane. It has 50 metrics, so that it is
# free as one of an account's first three dashboards. docs/metrics.md lists what has no room there.

locals {
  # A graph lists its metrics as [metric, statistic, label], with one value per `period`.
  graphs = [
    {
      title   = "Jobs by outcome"
      stacked = true
      lines = [
        [local.metrics.JobsSucceeded, "Sum", "succeeded"],
        [local.metrics.JobsFailed, "Sum", "failed"],
        [local.metrics.JobsCancelled, "Sum", "cancelled"],
        [local.metrics.JobsEndedOtherwise, "Sum", "ended otherwise"],
        [local.metrics.JobsRefused, "Sum", "refused"],
      ]
    },
    {
      title = "Open"
      lines = [
        [local.metrics.JobsOpen, "Maximum", "jobs"],
        [local.metrics.JobsStuck, "Maximum", "jobs queued for over ten minutes"],
        [local.metrics.RunnersOpen, "Maximum", "runners"],
        [local.metrics.RecordsUnreadable, "Maximum", "records that cannot be read"],
      ]
    },
    {
      title = "Queue wait, ms"
      lines = [
        [local.metrics.QueueWait, "p50", "p50"],
        [local.metrics.QueueWait, "p90", "p90"],
        [local.metrics.QueueWait, "p99", "p99"],
      ]
    },
    {
      title   = "Time to start by its parts, p50, ms"
      stacked = true
      lines = [
        [local.metrics.TimeToRecord, "p50", "webhook → recorded"],
        [local.metrics.TimeToLaunch, "p50", "reserved → launched"],
        [local.metrics.TimeToBoot, "p50", "launched → booted"],
        [local.metrics.TimeToBusy, "p50", "booted → busy"],
      ]
    },
    {
      title = "Time to start by its parts, p99, ms"
      lines = [
        [local.metrics.TimeToRecord, "p99", "webhook → recorded"],
        [local.metrics.TimeToLaunch, "p99", "reserved → launched"],
        [local.metrics.TimeToBoot, "p99", "launched → booted"],
        [local.metrics.TimeToBusy, "p99", "booted → busy"],
      ]
    },
    {
      title   = "Runners by ending"
      stacked = true
      lines = [
        [local.metrics.RunnersCompleted, "Sum", "completed"],
        [local.metrics.RunnersSurplus, "Sum", "surplus"],
        [local.metrics.RunnersIdleTimeout, "Sum", "idle timeout"],
        [local.metrics.RunnersBootFailed, "Sum", "boot failed"],
        [local.metrics.RunnersAgentCrashed, "Sum", "agent crashed"],
        [local.metrics.RunnersSpotInterrupted, "Sum", "Spot interrupted"],
        [local.metrics.RunnersRegistrationLost, "Sum", "registration lost"],
        [local.metrics.RunnersJobTimeout, "Sum", "job timeout"],
        [local.metrics.RunnersStoppedByOperator, "Sum", "stopped by an operator"],
      ]
    },
    {
      title = "Launch delays"
      lines = [
        [local.metrics.RetriesNoCapacity, "Sum", "no capacity"],
        [local.metrics.RetriesThrottled, "Sum", "throttled"],
        [local.metrics.RetriesOther, "Sum", "other failures"],
        [local.metrics.LaunchesHeld, "Maximum", "held"],
        [local.metrics.BreakersOpen, "Maximum", "breakers open"],
        [local.metrics.RunnersRefused, "Sum", "taken by jobs that policy refuses"],
      ]
    },
    {
      title = "Repairs by the sweep"
      lines = [
        [local.metrics.Repairs, "Sum", "records"],
        [local.metrics.OrphansStopped, "Sum", "tasks stopped"],
        [local.metrics.RegistrationsDeleted, "Sum", "registrations deleted"],
        [local.metrics.DeliveriesReinjected, "Sum", "webhooks recorded"],
        [local.metrics.JobsDiscovered, "Sum", "jobs discovered"],
        [local.metrics.SweepFailures, "Sum", "calls that failed"],
      ]
    },
    {
      title  = "Cost of tasks per day, USD at list prices"
      period = 86400
      lines = [
        [local.metrics.Cost, "Sum", "runners"],
        [local.metrics.WarmCost, "Sum", "warm tasks before a runner took them over"],
      ]
    },
    {
      title = "Warm tasks"
      lines = [
        [local.metrics.WarmTasks, "Maximum", "waiting or on their way"],
        [local.metrics.WarmUsed, "Sum", "used"],
        [local.metrics.WarmFailed, "Sum", "failed"],
      ]
    },
    {
      title = "Webhooks"
      lines = [
        [local.metrics.WebhooksAccepted, "Sum", "new information"],
        [local.metrics.WebhooksIgnored, "Sum", "ignored"],
        [local.metrics.InvalidSignatures, "Sum", "wrong signature"],
        [local.metrics.UnreadableWebhooks, "Sum", "unreadable"],
        [local.api["4XXError"], "Sum", "refused by the API"],
        [local.api["5XXError"], "Sum", "not passed on"],
      ]
    },
    {
      # Each kind of dead letter and throttles have alarms: a dashboard of more than 50 metrics costs 3 dollars a month.
      title = "Errors of the control plane's function"
      lines = [[local.lambda.control_plane.Errors, "Sum", "errors"]]
    },
    {
      title = "Control plane's duration, ms"
      lines = [
        [local.lambda.control_plane.Duration, "p50", "p50"],
        [local.lambda.control_plane.Duration, "p99", "p99"],
      ]
    },
    {
      title = "Days until GitHub refuses the runners' version"
      lines = [[local.metrics.RunnerVersionDaysLeft, "Minimum", "days"]]
    },
    {
      title = "Sweep delay, s"
      lines = [[local.metrics.SweepBehind, "Maximum", "earliest unchecked delivery"]]
    },
  ]

  # No metric has the class as a dimension, since that would multiply the cost. Log lines have the class.
  tables = [
    {
      title = "Launches by class"
      query = "filter message = \"reserving runner\" | stats count(*) as launches by class | sort launches desc"
    },
    {
      title = "Latest warnings and errors"
      query = "filter level in [\"WARN\", \"ERROR\"] | fields @timestamp, message, reason, runner, error | sort @timestamp desc | limit 20"
    },
  ]
}

resource "aws_cloudwatch_dashboard" "deployment" {
  dashboard_name = local.name

  dashboard_body = jsonencode({
    start          = "-P1D"
    periodOverride = "inherit"
    widgets = concat(
      [
        for index, graph in local.graphs : {
          type   = "metric"
          x      = 12 * (index % 2)
          y      = 6 * floor(index / 2)
          width  = 12
          height = 6
          properties = {
            title   = graph.title
            region  = data.aws_region.current.region
            view    = "timeSeries"
            stacked = try(graph.stacked, false)
            period  = try(graph.period, 300)
            yAxis   = { left = { min = 0 } }
            metrics = [
              for line in graph.lines : concat(
                [line[0].namespace, line[0].name],
                flatten([for name, value in line[0].dimensions : [name, value]]),
                [{ stat = line[1], label = line[2] }],
              )
            ]
          }
        }
      ],
      [
        for index, table in local.tables : {
          type   = "log"
          x      = 12 * index
          y      = 6 * ceil(length(local.graphs) / 2)
          width  = 12
          height = 6
          properties = {
            title  = table.title
            region = data.aws_region.current.region
            view   = "table"
            query  = "${join(" | ", [for group in local.functions_groups : "SOURCE '${group}'"])} | ${table.query}"
          }
        }
      ],
    )
  })
}
