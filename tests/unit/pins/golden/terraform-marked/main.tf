data "google_secret_manager_secret_version" "orders" {
  secret  = var.secret
  // rotation:secret=acme/orders
  version = "3"
}
