resource "google_cloud_run_v2_service" "shop" {
  name = "shop"
  template {
    scaling { max_instance_count = 3 }
    containers {
      image = "app:3"
      env {
        name = "DB"
        value_source {
          secret_key_ref {
            secret  = "orders"
            version = "3"
          }
        }
      }
      env {
        name = "API"
        value_source {
          secret_key_ref {
            secret  = "api-key"
            version = "3"
          }
        }
      }
    }
    volumes {
      name = "db"
      secret {
        secret = "orders"
        items {
          version = "3"
          path    = "password"
        }
      }
    }
  }
}
