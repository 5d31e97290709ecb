# The targets document: what may be touched, and by which secrets (deploy/docs/targets.md).  It names
# secrets and holds no value of one, so Terraform adds its versions.  A changed document is a new
# version, and with it a new revision of the function.

locals {
  targets_folder = "/secrets/targets"
  targets_file   = "targets.json"
  targets        = google_secret_manager_secret_version.targets[*].version

  # Secrets of this project that open a system: every name in the document outside of the lists of
  # who may use a target.
  opened = toset(flatten([
    for target in try(values(var.targets.targets), []) : regexall(
      "\"projects/${var.project}/secrets/([A-Za-z0-9_-]+)[/\"]",
      jsonencode({ for key, value in target : key => value if key != "secrets" }),
    )
  ]))
  reads = setunion(var.reads, setsubtract(local.opened, keys(var.secrets)))
}

resource "google_secret_manager_secret" "targets" {
  count = var.targets == null ? 0 : 1

  project             = var.project
  secret_id           = "rotation-targets"
  deletion_protection = false

  replication {
    auto {}
  }

  depends_on = [google_project_service.api]
}

resource "google_secret_manager_secret_version" "targets" {
  count = var.targets == null ? 0 : 1

  secret      = google_secret_manager_secret.targets[0].id
  secret_data = jsonencode(var.targets)

  # Until the new revision serves, and after a way back, the revision before reads its own version.
  deletion_policy = "ABANDON"

  lifecycle {
    create_before_destroy = true
  }
}

# To read, and nobody is given more: who writes it decides what may be touched.
resource "google_secret_manager_secret_iam_member" "targets" {
  count = var.targets == null ? 0 : 1

  project   = var.project
  secret_id = google_secret_manager_secret.targets[0].secret_id
  role      = google_project_iam_custom_role.role["rotationReader"].name
  member    = google_service_account.function.member
}
