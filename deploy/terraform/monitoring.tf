# Metrics from the function's log, alerts on them, one dashboard.  The files beside this module have
# the form of Google's API: `gcloud` takes them as they are.

locals {
  monitoring = "${path.module}/../monitoring"

  metrics = {
    for file in fileset(local.monitoring, "metrics/*.json") :
    trimsuffix(basename(file), ".json") => jsondecode(file("${local.monitoring}/${file}"))
  }

  alerts = {
    for file in fileset(local.monitoring, "alerts/*.json") :
    trimsuffix(basename(file), ".json") => jsondecode(file("${local.monitoring}/${file}"))
  }
}

resource "google_logging_metric" "event" {
  for_each = local.metrics

  project          = var.project
  name             = "rotation-${each.key}"
  description      = each.value.description
  filter           = each.value.filter
  label_extractors = each.value.labelExtractors

  metric_descriptor {
    metric_kind  = each.value.metricDescriptor.metricKind
    value_type   = each.value.metricDescriptor.valueType
    unit         = each.value.metricDescriptor.unit
    display_name = each.value.metricDescriptor.displayName

    dynamic "labels" {
      for_each = each.value.metricDescriptor.labels

      content {
        key         = labels.value.key
        value_type  = labels.value.valueType
        description = labels.value.description
      }
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_monitoring_alert_policy" "alert" {
  for_each = local.alerts

  project               = var.project
  display_name          = each.value.displayName
  combiner              = each.value.combiner
  enabled               = each.value.enabled
  severity              = each.value.severity
  user_labels           = each.value.userLabels
  notification_channels = var.notification_channels

  dynamic "conditions" {
    for_each = each.value.conditions

    content {
      display_name = conditions.value.displayName

      condition_threshold {
        filter                  = conditions.value.conditionThreshold.filter
        comparison              = conditions.value.conditionThreshold.comparison
        threshold_value         = conditions.value.conditionThreshold.thresholdValue
        duration                = conditions.value.conditionThreshold.duration
        evaluation_missing_data = try(conditions.value.conditionThreshold.evaluationMissingData, null)

        dynamic "aggregations" {
          for_each = conditions.value.conditionThreshold.aggregations

          content {
            alignment_period     = aggregations.value.alignmentPeriod
            per_series_aligner   = aggregations.value.perSeriesAligner
            cross_series_reducer = aggregations.value.crossSeriesReducer
            group_by_fields      = aggregations.value.groupByFields
          }
        }

        trigger {
          count = conditions.value.conditionThreshold.trigger.count
        }
      }
    }
  }

  documentation {
    mime_type = each.value.documentation.mimeType
    subject   = each.value.documentation.subject
    content   = replace(each.value.documentation.content, "deploy/docs/runbooks", coalesce(var.runbooks_url, "deploy/docs/runbooks"))
  }

  alert_strategy {
    auto_close = each.value.alertStrategy.autoClose
  }

  # A policy is accepted only once the metric it looks at is known.
  depends_on = [google_logging_metric.event, google_pubsub_subscription.dead]
}

resource "google_monitoring_dashboard" "rotation" {
  project        = var.project
  dashboard_json = jsonencode(jsondecode(file("${local.monitoring}/dashboard.json")))

  depends_on = [google_logging_metric.event]
}
