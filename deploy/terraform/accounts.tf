# One account for the function, one for what calls it, and roles with nothing that no part uses.

resource "google_service_account" "function" {
  project      = var.project
  account_id   = "rotation"
  display_name = "Function of rotation"
}

resource "google_service_account" "push" {
  project      = var.project
  account_id   = "rotation-push"
  display_name = "Delivers messages to rotation"
}

locals {
  # Made by `rotation generate` from the specs of the plugins; nobody writes a permission twice.
  all_roles = jsondecode(file("${path.module}/../generated/iam.json")).roles
  roles = {
    for role in local.all_roles : role.id => role
    if !try(role.optional, false) || contains(var.optional_roles, role.id)
  }
}

resource "google_project_iam_custom_role" "role" {
  for_each = local.roles

  project     = var.project
  role_id     = each.key
  title       = each.value.title
  description = each.value.description
  permissions = each.value.permissions

  depends_on = [google_project_service.api]
}

# Listing secrets can be granted on a project only.
resource "google_project_iam_member" "sweep" {
  project = var.project
  role    = google_project_iam_custom_role.role["rotationSweep"].name
  member  = google_service_account.function.member
}

resource "google_project_iam_member" "optional" {
  for_each = var.optional_roles

  project = var.project
  role    = google_project_iam_custom_role.role[each.key].name
  member  = google_service_account.function.member
}

# Whoever asks follows what becomes of it.
resource "google_project_iam_member" "viewer" {
  for_each = setunion(var.viewers, var.requesters, var.emergency_requesters)

  project = var.project
  role    = google_project_iam_custom_role.role["rotationViewer"].name
  member  = each.key
}

# Doctor asks as the function what the function may do, and tries logins: see also secrets.tf.
resource "google_project_iam_member" "doctor" {
  for_each = var.doctors

  project = var.project
  role    = google_project_iam_custom_role.role["rotationDoctor"].name
  member  = each.key
}

resource "google_service_account_iam_member" "doctor" {
  for_each = var.doctors

  service_account_id = google_service_account.function.name
  role               = google_project_iam_custom_role.role["rotationDoctorAccount"].name
  member             = each.key
}
