resource "google_secret_manager_secret" "db" {
  secret_id = "orders"
  replication {
    auto {}
  }
}
data "google_secret_manager_secret_version_access" "db" {
  secret  = google_secret_manager_secret.db.id
  version = "3"
}
