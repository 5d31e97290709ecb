data "google_secret_manager_secret_version" "orders" {
  secret  = var.secret
  version = "3" # {"$rotation": "acme/orders"}
}
