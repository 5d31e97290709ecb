output "url" {
  description = "Where the push subscription delivers."
  value       = local.url
}

output "topic" {
  description = "Full name of the topic: ROTATION_TOPIC for the command line."
  value       = google_pubsub_topic.rotation.id
}

output "emergency_topic" {
  description = "Full name of the topic of emergencies, reverts, retirements and the end of blocks."
  value       = google_pubsub_topic.emergency.id
}

output "dead_letters" {
  description = "Full name of the subscription that keeps what was given up."
  value       = google_pubsub_subscription.dead.id
}

output "function_account" {
  description = "E-mail address of the function's account: grant it what the databases ask for."
  value       = google_service_account.function.email
}

output "push_account" {
  description = "E-mail address of the account that delivers."
  value       = google_service_account.push.email
}

output "secrets" {
  description = "Full name of each rotated secret, by its id."
  value       = { for id, secret in google_secret_manager_secret.rotated : id => secret.id }
}

output "roles" {
  description = "Full name of each custom role, by its id."
  value       = { for id, role in google_project_iam_custom_role.role : id => role.name }
}

output "alerts" {
  description = "Full name of each alert policy, by the name of its runbook."
  value       = { for name, policy in google_monitoring_alert_policy.alert : name => policy.name }
}

output "environment" {
  description = "Variables for the command line, as lines for a shell."
  value       = "export ROTATION_PROJECT=${var.project} ROTATION_TOPIC=${google_pubsub_topic.rotation.id}"
}
