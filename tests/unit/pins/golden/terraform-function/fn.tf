resource "google_cloudfunctions2_function" "fn" {
  service_config {
    secret_environment_variables {
      key        = "DB"
      project_id = "acme"
      secret     = "orders"
      version    = "3"
    }
    secret_environment_variables {
      key        = "DB2"
      project_id = "other"
      secret     = "orders"
      version    = "3"
    }
    secret_volumes {
      mount_path = "/etc/db"
      project_id = "acme"
      secret     = "orders"
      versions {
        version = "3"
        path    = "p"
      }
    }
  }
}
