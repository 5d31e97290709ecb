# The keys that the function signs records and receipts with (deploy/docs/keys.md).  Terraform makes
# the secret and never sees a key: versions are added by `rotation keys rotate`.

locals {
  keys_folder = "/secrets/keys"
  keys_file   = "keys.json"
  keys        = var.keys_version == null ? [] : [var.keys_version]
}

resource "google_secret_manager_secret" "keys" {
  project             = var.project
  secret_id           = "rotation-keys"
  deletion_protection = false

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

# Nobody else is given this: who reads a key can write records that the function believes.
resource "google_secret_manager_secret_iam_member" "keys" {
  project   = var.project
  secret_id = google_secret_manager_secret.keys.secret_id
  role      = google_project_iam_custom_role.role["rotationReader"].name
  member    = google_service_account.function.member
}
