# version = "3"
data "google_secret_manager_secret_version" "orders" {
  secret  = "orders"
  version = "3" # keep
}

data "google_secret_manager_secret_version" "api" {
  secret  = "api-key"
  version = "3"
}

ephemeral "google_secret_manager_secret_version" "orders" {
  secret  = "projects/acme/secrets/orders"
  version = 3
}

locals {
  replicas = 3
  text     = "version 3 of ${data.google_secret_manager_secret_version.orders.name}"
}
