# The APIs, and the two agents of Google's that act for us.

locals {
  apis = toset(var.enable_apis ? concat([
    "cloudscheduler.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    ], var.image == null ? [
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
  ] : []) : [])
}

resource "google_project_service" "api" {
  for_each = local.apis

  project = var.project
  service = each.key

  # Others in the project may use it too.
  disable_on_destroy = false
}

# Made before it is needed: a topic is accepted on a secret only if this agent can publish to it.
resource "google_project_service_identity" "agent" {
  for_each = toset(["pubsub.googleapis.com", "secretmanager.googleapis.com"])
  provider = google-beta

  project = var.project
  service = each.key

  depends_on = [google_project_service.api]
}

locals {
  # The project's number is in the address of every agent.
  number = regex("[0-9]+", google_project_service_identity.agent["pubsub.googleapis.com"].email)

  pubsub_agent         = "serviceAccount:${google_project_service_identity.agent["pubsub.googleapis.com"].email}"
  secret_manager_agent = "serviceAccount:${google_project_service_identity.agent["secretmanager.googleapis.com"].email}"
}
