# The function: a Cloud Run service named `rotation`, built from source by buildpacks, or from an
# image.  A Cloud Run service's own `build_config` builds nothing in Terraform
# (hashicorp/terraform-provider-google #22263); a function of the second generation does.

locals {
  repository = "${path.module}/../.."
  release    = regex("(?m)^version = \"([^\"]+)\"", file("${local.repository}/pyproject.toml"))[0]

  environment = merge(var.environment, {
    ROTATION_PROJECT        = var.project
    ROTATION_PROJECT_NUMBER = local.number
    ROTATION_TOPIC          = google_pubsub_topic.rotation.id
    ROTATION_VERSION        = local.release
    # Whose push is believed.  Cloud Run lets only its invokers in, checks the signature of their
    # token and removes it; the function checks what is left.
    ROTATION_PUSH_AUDIENCE          = local.audience
    ROTATION_PUSH_ACCOUNT           = google_service_account.push.email
    ROTATION_PUSH_SIGNATURE         = "removed-by-cloud-run"
    ROTATION_EMERGENCY_SUBSCRIPTION = local.emergency_subscription
    }, length(local.keys) == 0 ? {} : { ROTATION_KEYS = "${local.keys_folder}/${local.keys_file}" },
    var.targets == null ? {} : { ROTATION_TARGETS = "${local.targets_folder}/${local.targets_file}" },
  )

  # One of the function's two addresses; this one is known before there is a function.
  audience = "https://rotation-${local.number}.${var.region}.run.app"
  # By its name: a reference would go round in a circle.
  emergency_subscription = "projects/${var.project}/subscriptions/rotation-emergency-function"

  # budget (480) < timeout < ack deadline (600) <= lease (600)
  timeout_seconds = 540

  # The function holds only what it runs; .gcloudignore says the same.
  left_out = "^rotation/(adopt|cli|doctor|emulator|generate|local|__main__\\.py)(/|$)|__pycache__"

  sources = var.image != null ? [] : concat(["main.py"], sort([
    for file in fileset(local.repository, "rotation/**") : file
    if !can(regex(local.left_out, file))
  ]))

  url     = var.image == null ? google_cloudfunctions2_function.rotation[0].service_config[0].uri : google_cloud_run_v2_service.rotation[0].uri
  service = var.image == null ? google_cloudfunctions2_function.rotation[0].name : google_cloud_run_v2_service.rotation[0].name
}

data "archive_file" "source" {
  count = var.image == null ? 1 : 0

  type        = "zip"
  output_path = "${path.root}/.terraform/rotation-source.zip"

  dynamic "source" {
    for_each = local.sources

    content {
      filename = source.value
      content  = file("${local.repository}/${source.value}")
    }
  }

  source {
    filename = "requirements.txt"
    content  = file("${local.repository}/${var.requirements}")
  }
}

resource "google_storage_bucket" "source" {
  #checkov:skip=CKV_GCP_62:holds public source code only; reading it needs no log of its own
  #checkov:skip=CKV_GCP_78:an object's name has its hash; nothing is ever overwritten
  count = var.image == null ? 1 : 0

  project                     = var.project
  name                        = "${var.project}-rotation-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
}

resource "google_storage_bucket_object" "source" {
  count = var.image == null ? 1 : 0

  bucket = google_storage_bucket.source[0].name
  name   = "rotation-${data.archive_file.source[0].output_sha256}.zip"
  source = data.archive_file.source[0].output_path
}

resource "google_cloudfunctions2_function" "rotation" {
  count = var.image == null ? 1 : 0

  project     = var.project
  location    = var.region
  name        = "rotation"
  description = "Replaces credentials in Secret Manager"

  build_config {
    runtime         = var.runtime
    entry_point     = "rotate"
    service_account = var.build_service_account

    source {
      storage_source {
        bucket = google_storage_bucket.source[0].name
        object = google_storage_bucket_object.source[0].name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.function.email
    timeout_seconds                  = local.timeout_seconds
    available_memory                 = var.memory
    available_cpu                    = "1"
    max_instance_request_concurrency = var.concurrency
    min_instance_count               = var.min_instances
    max_instance_count               = var.max_instances
    # Pub/Sub's push comes from within Google's network.
    ingress_settings               = "ALLOW_INTERNAL_ONLY"
    all_traffic_on_latest_revision = true
    environment_variables          = local.environment
    vpc_connector                  = var.vpc_connector
    vpc_connector_egress_settings  = var.vpc_connector == null ? null : "PRIVATE_RANGES_ONLY"

    dynamic "secret_volumes" {
      for_each = local.keys

      content {
        mount_path = local.keys_folder
        project_id = var.project
        secret     = google_secret_manager_secret.keys.secret_id

        versions {
          version = secret_volumes.value
          path    = local.keys_file
        }
      }
    }

    # A folder of its own: one secret, one mount.
    dynamic "secret_volumes" {
      for_each = local.targets

      content {
        mount_path = local.targets_folder
        project_id = var.project
        secret     = google_secret_manager_secret.targets[0].secret_id

        versions {
          version = secret_volumes.value
          path    = local.targets_file
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.network == null
      error_message = "Direct VPC egress needs an image (variable image); with source use vpc_connector."
    }
  }

  depends_on = [
    google_project_service.api,
    google_secret_manager_secret_iam_member.keys,
    google_secret_manager_secret_iam_member.targets,
  ]
}

resource "google_cloud_run_v2_service" "rotation" {
  count = var.image == null ? 0 : 1

  project     = var.project
  location    = var.region
  name        = "rotation"
  description = "Replaces credentials in Secret Manager"
  # Pub/Sub's push comes from within Google's network.
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false

  template {
    service_account                  = google_service_account.function.email
    timeout                          = "${local.timeout_seconds}s"
    max_instance_request_concurrency = var.concurrency

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      resources {
        limits = {
          cpu    = "1"
          memory = var.memory
        }
        cpu_idle = true
      }

      dynamic "env" {
        for_each = local.environment

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "volume_mounts" {
        for_each = local.keys

        content {
          name       = "keys"
          mount_path = local.keys_folder
        }
      }

      # A folder of its own: one secret, one mount.
      dynamic "volume_mounts" {
        for_each = local.targets

        content {
          name       = "targets"
          mount_path = local.targets_folder
        }
      }
    }

    dynamic "volumes" {
      for_each = local.keys

      content {
        name = "keys"

        secret {
          secret = google_secret_manager_secret.keys.secret_id

          items {
            version = volumes.value
            path    = local.keys_file
          }
        }
      }
    }

    dynamic "volumes" {
      for_each = local.targets

      content {
        name = "targets"

        secret {
          secret = google_secret_manager_secret.targets[0].secret_id

          items {
            version = volumes.value
            path    = local.targets_file
          }
        }
      }
    }

    dynamic "vpc_access" {
      for_each = var.network == null && var.vpc_connector == null ? [] : ["vpc"]

      content {
        connector = var.network == null ? var.vpc_connector : null
        egress    = "PRIVATE_RANGES_ONLY"

        dynamic "network_interfaces" {
          for_each = var.network == null ? [] : [var.network]

          content {
            network    = network_interfaces.value.network
            subnetwork = network_interfaces.value.subnetwork
            tags       = network_interfaces.value.tags
          }
        }
      }
    }
  }

  depends_on = [
    google_project_service.api,
    google_secret_manager_secret_iam_member.keys,
    google_secret_manager_secret_iam_member.targets,
  ]
}

# On the service itself, in both cases: `run.routes.invoke` is what a push needs.
resource "google_cloud_run_v2_service_iam_member" "push" {
  project  = var.project
  location = var.region
  name     = local.service
  role     = google_project_iam_custom_role.role["rotationInvoker"].name
  member   = google_service_account.push.member
}
