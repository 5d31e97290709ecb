# Wake-ups and routine requests arrive on one topic, emergencies and ways back on another, with rights
# of its own; what cannot be delivered ends on the third, and is kept there.

resource "google_pubsub_topic" "rotation" {
  #checkov:skip=CKV_GCP_83:messages carry names and times, never a payload; Google's own keys are enough
  project = var.project
  name    = "rotation"

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic" "emergency" {
  #checkov:skip=CKV_GCP_83:messages carry names and times, never a payload; Google's own keys are enough
  project = var.project
  name    = "rotation-emergency"

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic" "dead" {
  #checkov:skip=CKV_GCP_83:messages carry names and times, never a payload; Google's own keys are enough
  project = var.project
  name    = "rotation-dead"

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic_iam_member" "secret_manager" {
  project = var.project
  topic   = google_pubsub_topic.rotation.name
  role    = "roles/pubsub.publisher"
  member  = local.secret_manager_agent
}

resource "google_pubsub_topic_iam_member" "function" {
  project = var.project
  topic   = google_pubsub_topic.rotation.name
  role    = google_project_iam_custom_role.role["rotationPublisher"].name
  member  = google_service_account.function.member
}

resource "google_pubsub_topic_iam_member" "requester" {
  for_each = var.requesters

  project = var.project
  topic   = google_pubsub_topic.rotation.name
  role    = google_project_iam_custom_role.role["rotationRequester"].name
  member  = each.key
}

resource "google_pubsub_topic_iam_member" "emergency_requester" {
  for_each = var.emergency_requesters

  project = var.project
  topic   = google_pubsub_topic.emergency.name
  role    = google_project_iam_custom_role.role["rotationEmergencyRequester"].name
  member  = each.key
}

resource "google_pubsub_topic_iam_member" "dead" {
  project = var.project
  topic   = google_pubsub_topic.dead.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}
