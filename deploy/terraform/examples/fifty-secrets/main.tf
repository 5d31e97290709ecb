# Fifty secrets from one map: ten databases with five applications each.

variable "project" {
  description = "Project id."
  type        = string
}

variable "image" {
  description = "Image made with deploy/image/Dockerfile, by digest."
  type        = string
}

variable "notification_channels" {
  description = "Full names of the notification channels of the alerts."
  type        = list(string)
  default     = []
}

provider "google" {
  project = var.project
}

provider "google-beta" {
  project = var.project
}

locals {
  databases = {
    accounts  = "10.0.1.1"
    billing   = "10.0.1.2"
    catalog   = "10.0.1.3"
    invoices  = "10.0.1.4"
    messages  = "10.0.1.5"
    orders    = "10.0.1.6"
    payments  = "10.0.1.7"
    search    = "10.0.1.8"
    shipping  = "10.0.1.9"
    suppliers = "10.0.1.10"
  }

  applications = ["api", "batch", "reports", "web", "worker"]

  # What may be touched, and by which secrets: written out, not as patterns.
  targets = {
    targets = {
      for database, host in local.databases : database => {
        kind     = "postgresql"
        host     = host
        database = database
        admin    = "projects/${var.project}/secrets/${database}-rotator"
        roles    = flatten([for application in local.applications : ["${database}_${application}_a", "${database}_${application}_b"]])
        owners   = [for application in local.applications : "${database}_${application}_owner"]
        secrets  = [for application in local.applications : "projects/${var.project}/secrets/${database}-${application}"]
        # The money waits longer.
        demands = contains(["billing", "payments"], database) ? { soak = "48h" } : { soak = "24h" }
      }
    }
  }

  secrets = merge([
    for database in keys(local.databases) : {
      for application in local.applications : "${database}-${application}" => {
        labels = { db = database, app = application }
        policy = jsonencode({
          issuer = {
            kind   = "postgresql"
            target = database
            slots  = ["${database}_${application}_a", "${database}_${application}_b"]
            owner  = "${database}_${application}_owner"
          }
          soak   = contains(["billing", "payments"], database) ? "48h" : "24h"
          retire = { observe = "1h", destroy_after = "24h" }
        })
        consumers = ["serviceAccount:${application}@${var.project}.iam.gserviceaccount.com"]
      }
    }
  ]...)
}

module "rotation" {
  source = "../.."

  project = var.project
  region  = "europe-west1"
  image   = var.image

  network = {
    network    = "projects/${var.project}/global/networks/databases"
    subnetwork = "projects/${var.project}/regions/europe-west1/subnetworks/rotation"
  }

  max_instances         = 5
  secrets               = local.secrets
  targets               = local.targets
  first_rotation        = "2030-01-07T01:00:00Z"
  stagger_minutes       = 30
  requesters            = ["group:sre@example.com"]
  emergency_requesters  = ["group:oncall@example.com"]
  notification_channels = var.notification_channels
}

output "environment" {
  description = "For the command line: eval \"$(terraform output -raw environment)\"."
  value       = module.rotation.environment
}
