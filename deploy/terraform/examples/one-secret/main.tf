# One secret of one PostgreSQL database, rotated every thirty days.

variable "project" {
  description = "Project id."
  type        = string
}

provider "google" {
  project = var.project
}

provider "google-beta" {
  project = var.project
}

module "rotation" {
  source = "../.."

  project = var.project
  region  = "europe-west1"

  # What may be touched, and by which secrets.  The login of the rotator is made by hand: its payload
  # must never pass through Terraform.
  targets = {
    targets = {
      orders-db = {
        kind     = "postgresql"
        host     = "10.0.0.5"
        database = "orders"
        admin    = "projects/${var.project}/secrets/orders-rotator"
        roles    = ["orders_a", "orders_b"]
        owners   = ["orders_owner"]
        secrets  = ["projects/${var.project}/secrets/orders"]
      }
    }
  }

  secrets = {
    orders = {
      policy = jsonencode({
        issuer = {
          kind   = "postgresql"
          target = "orders-db"
          slots  = ["orders_a", "orders_b"]
          owner  = "orders_owner"
          probes = ["SELECT 1 FROM orders LIMIT 1"]
        }
        soak   = "24h"
        retire = { observe = "1h", destroy_after = "24h" }
      })
      next_rotation_time = "2030-01-07T03:00:00Z"
      consumers          = ["serviceAccount:orders@${var.project}.iam.gserviceaccount.com"]
    }
  }
}

output "environment" {
  description = "For the command line: eval \"$(terraform output -raw environment)\"."
  value       = module.rotation.environment
}
