# Straight to the function, not through Eventarc: a trigger there has its own subscription, whose
# filter, deadline and dead letters are not ours to set.

resource "google_pubsub_subscription" "function" {
  project = var.project
  name    = "rotation-function"
  topic   = google_pubsub_topic.rotation.id

  # Every write to a secret publishes; only the firing and our own wake-ups matter.  A filter can be
  # set only when the subscription is made: changing it makes a new one.
  filter = "attributes.eventType = \"SECRET_ROTATE\" OR hasPrefix(attributes.eventType, \"ROTATION_\")"

  # Also the time a push may take.
  ack_deadline_seconds       = 600
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = local.url

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.audience
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 20
  }

  # Never: a quiet month must not end it.
  expiration_policy {
    ttl = ""
  }

  depends_on = [google_cloud_run_v2_service_iam_member.push]
}

# The same for what is privileged.  The function knows it by its name: see function.tf.
resource "google_pubsub_subscription" "emergency" {
  project = var.project
  name    = "rotation-emergency-function"
  topic   = google_pubsub_topic.emergency.id

  filter = "attributes.eventType = \"SECRET_ROTATE\" OR hasPrefix(attributes.eventType, \"ROTATION_\")"

  ack_deadline_seconds       = 600
  message_retention_duration = "604800s"

  push_config {
    push_endpoint = local.url

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = local.audience
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead.id
    max_delivery_attempts = 20
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_cloud_run_v2_service_iam_member.push]
}

resource "google_pubsub_subscription" "dead" {
  project                    = var.project
  name                       = "rotation-dead"
  topic                      = google_pubsub_topic.dead.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves what it gives up: it publishes there and acknowledges here.
resource "google_pubsub_subscription_iam_member" "dead" {
  for_each = {
    function  = google_pubsub_subscription.function.name
    emergency = google_pubsub_subscription.emergency.name
  }

  project      = var.project
  subscription = each.value
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
