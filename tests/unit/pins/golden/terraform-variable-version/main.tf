data "google_secret_manager_secret_version" "orders" {
  secret  = "orders"
  version = var.orders_version
}
