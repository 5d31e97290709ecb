# Finds what a lost message would have started, and wakes what waits.

resource "google_cloud_scheduler_job" "sweep" {
  project     = var.project
  region      = var.region
  name        = "rotation-sweep"
  description = "Wakes every rotation that is due, overdue or waiting"
  schedule    = "*/5 * * * *"
  time_zone   = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.rotation.id
    data       = base64encode("sweep")
    attributes = { eventType = "ROTATION_SWEEP" }
  }

  depends_on = [google_project_service.api]
}
