# The secrets: Terraform owns policy and schedule; the function owns everything that begins with
# `rotation`, the versions and their aliases.

locals {
  ids   = sort(keys(var.secrets))
  first = coalesce(var.first_rotation, timeadd(plantimestamp(), "24h"))

  next_rotation_time = {
    for id, secret in var.secrets : id => coalesce(
      secret.next_rotation_time,
      timeadd(local.first, "${index(local.ids, id) * var.stagger_minutes}m"),
    )
  }

  consumers = merge([
    for id, secret in var.secrets : {
      for member in secret.consumers : "${id} ${member}" => { secret = id, member = member }
    }
  ]...)

  policy_authors = merge([
    for id, secret in var.secrets : {
      for member in secret.policy_authors : "${id} ${member}" => { secret = id, member = member }
    }
  ]...)

  # What doctor tries the logins with.
  doctors = merge([
    for member in var.doctors : {
      for id in setunion(keys(var.secrets), local.reads) : "${id} ${member}" => { secret = id, member = member }
    }
  ]...)
}

resource "google_secret_manager_secret" "rotated" {
  for_each = var.secrets

  project             = var.project
  secret_id           = each.key
  version_destroy_ttl = each.value.version_destroy_ttl
  deletion_protection = each.value.deletion_protection

  # Neither is authoritative: the provider keeps the keys that others have set.
  labels      = each.value.labels
  annotations = { "rotation.policy" = each.value.policy }

  replication {
    dynamic "auto" {
      for_each = length(each.value.locations) == 0 ? ["auto"] : []
      content {}
    }

    dynamic "user_managed" {
      for_each = length(each.value.locations) == 0 ? [] : ["user_managed"]

      content {
        dynamic "replicas" {
          for_each = each.value.locations

          content {
            location = replicas.value
          }
        }
      }
    }
  }

  topics {
    name = google_pubsub_topic.rotation.id
  }

  rotation {
    next_rotation_time = local.next_rotation_time[each.key]
    rotation_period    = each.value.rotation_period
  }

  lifecycle {
    ignore_changes = [
      rotation[0].next_rotation_time, # Secret Manager moves it with every firing
      version_aliases,                # `current` and `previous` belong to the function
    ]
  }

  # Secret Manager tries the topic before it accepts it, and the function must be able to answer.
  depends_on = [google_pubsub_topic_iam_member.secret_manager]
}

resource "google_secret_manager_secret_iam_member" "function" {
  for_each = google_secret_manager_secret.rotated

  project   = var.project
  secret_id = each.value.secret_id
  role      = google_project_iam_custom_role.role["rotationFunction"].name
  member    = google_service_account.function.member
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.reads

  project   = var.project
  secret_id = each.key
  role      = google_project_iam_custom_role.role["rotationReader"].name
  member    = google_service_account.function.member
}

resource "google_secret_manager_secret_iam_member" "consumer" {
  for_each = local.consumers

  project   = var.project
  secret_id = google_secret_manager_secret.rotated[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = each.value.member
}

# On given secrets only: whoever may write a secret's annotations writes its policy.
resource "google_secret_manager_secret_iam_member" "policy_author" {
  for_each = local.policy_authors

  project   = var.project
  secret_id = google_secret_manager_secret.rotated[each.value.secret].secret_id
  role      = google_project_iam_custom_role.role["rotationPolicyAuthor"].name
  member    = each.value.member
}

resource "google_secret_manager_secret_iam_member" "doctor" {
  for_each = local.doctors

  project   = var.project
  secret_id = try(google_secret_manager_secret.rotated[each.value.secret].secret_id, each.value.secret)
  role      = google_project_iam_custom_role.role["rotationReader"].name
  member    = each.value.member
}
