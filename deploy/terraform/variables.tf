variable "project" {
  description = "Project id in which everything is made; the secrets live there too."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "The variable project is a project id (acme-prod), not its number or its name."
  }
}

variable "region" {
  description = "Region of the function and of the scheduler, near the databases."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The variable region is a region such as europe-west1, not a zone."
  }
}

variable "enable_apis" {
  description = "Whether to enable the APIs; they stay enabled when the module is removed."
  type        = bool
  default     = true
  nullable    = false
}

variable "image" {
  description = "Image made with deploy/image/Dockerfile of this release, by digest; null builds from source with buildpacks."
  type        = string
  default     = null

  validation {
    condition     = var.image == null || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The variable image names one image by its digest: REGISTRY/NAME@sha256:..."
  }
}

variable "runtime" {
  description = "Python runtime of the buildpack; unused with an image."
  type        = string
  default     = "python312"
  nullable    = false

  validation {
    condition     = contains(["python311", "python312", "python313"], var.runtime)
    error_message = "The variable runtime is python311, python312 or python313."
  }
}

variable "requirements" {
  description = "File of the repository with the libraries of the function: deploy/requirements-git.txt where pins live in Git, deploy/requirements-redis.txt for the issuer redis, with or without Git."
  type        = string
  default     = "requirements.txt"
  nullable    = false

  validation {
    condition     = contains(["requirements.txt", "deploy/requirements-git.txt", "deploy/requirements-redis.txt"], var.requirements)
    error_message = "The variable requirements is requirements.txt, deploy/requirements-git.txt or deploy/requirements-redis.txt."
  }
}

variable "build_service_account" {
  description = "Full name (projects/P/serviceAccounts/EMAIL) of the account that builds from source; null uses the project's default."
  type        = string
  default     = null

  validation {
    condition     = var.build_service_account == null || can(regex("^projects/[^/]+/serviceAccounts/[^/]+$", var.build_service_account))
    error_message = "The variable build_service_account reads projects/P/serviceAccounts/EMAIL."
  }
}

variable "memory" {
  description = "Memory of one instance."
  type        = string
  default     = "512Mi"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.memory))
    error_message = "The variable memory is a number with Mi or Gi."
  }
}

variable "concurrency" {
  description = "Deliveries that one instance handles at once; each may hold one connection to a database as the rotator."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 80 && floor(var.concurrency) == var.concurrency
    error_message = "The variable concurrency is a whole number from 1 to 80."
  }
}

variable "max_instances" {
  description = "Most instances at once. Correctness does not depend on it; it bounds connections to the databases."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 100 && floor(var.max_instances) == var.max_instances
    error_message = "The variable max_instances is a whole number from 1 to 100."
  }
}

variable "min_instances" {
  description = "Instances kept warm: 1 saves the cold start in an emergency and costs an idle instance."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = contains([0, 1], var.min_instances)
    error_message = "The variable min_instances is 0 or 1."
  }
}

variable "network" {
  description = "Direct VPC egress, with an image only: network and subnetwork of the databases."
  type = object({
    network    = string
    subnetwork = string
    tags       = optional(list(string), [])
  })
  default = null
}

variable "vpc_connector" {
  description = "Serverless VPC connector to the databases (projects/P/locations/R/connectors/C); with source or image."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_connector == null || can(regex("^projects/[^/]+/locations/[^/]+/connectors/[^/]+$", var.vpc_connector))
    error_message = "The variable vpc_connector reads projects/P/locations/R/connectors/C."
  }
}

variable "environment" {
  description = "More variables of the function, as the README lists them; project, topic and release are set by the module."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for name in keys(var.environment) : contains([
        "ROTATION_PROJECTS",
        "ROTATION_LEASE_SECONDS",
        "ROTATION_BUDGET_SECONDS",
        "ROTATION_SWEEP_SECONDS",
        "ROTATION_CHECK_SECONDS",
        "ROTATION_QUOTA_PER_MINUTE",
      ], name)
    ])
    error_message = "The variable environment takes only ROTATION_PROJECTS, ROTATION_LEASE_SECONDS, ROTATION_BUDGET_SECONDS, ROTATION_SWEEP_SECONDS, ROTATION_CHECK_SECONDS and ROTATION_QUOTA_PER_MINUTE."
  }
}

variable "keys_version" {
  description = "Version of the secret rotation-keys that the function signs with, such as 1; null signs nothing. Add one with `rotation keys rotate` after the first apply."
  type        = string
  default     = null

  validation {
    condition     = var.keys_version == null || can(regex("^[1-9][0-9]*$", var.keys_version))
    error_message = "The variable keys_version is the number of one version, not latest: a key must be known everywhere before it signs."
  }
}

variable "targets" {
  description = "The targets document, what may be touched and by which secrets: yamldecode(file(\"targets.yaml\")). A changed document is a new version of the secret rotation-targets and a new revision; null mounts none."
  type        = any
  default     = null

  validation {
    condition = var.targets == null || (
      can(keys(var.targets.targets)) && try(keys(var.targets), []) == ["targets"] &&
      alltrue([for target in try(values(var.targets.targets), []) : can(target.kind) && try(length(target.secrets) > 0, false)])
    )
    error_message = "The variable targets is an object with the key targets and nothing else, of which each has kind and secrets: yamldecode(file(\"targets.yaml\")); rotation targets validate FILE says more."
  }

  validation {
    condition     = length(jsonencode(var.targets)) <= 65536
    error_message = "The variable targets is longer than a version of a secret may be: 64 KiB as JSON."
  }

  validation {
    condition     = !can(regex("secrets/rotation-(keys|targets)[/\"]", jsonencode(var.targets)))
    error_message = "The variable targets names rotation-keys or rotation-targets, which open no system and are not rotated."
  }
}

variable "secrets" {
  description = "The secrets to rotate, by their id. `policy` is the annotation rotation.policy: jsonencode({issuer = {...}, soak = ...}); `policy_authors` are members that may update this secret, for they write its policy."
  type = map(object({
    policy              = string
    rotation_period     = optional(string, "2592000s")
    next_rotation_time  = optional(string)
    version_destroy_ttl = optional(string)
    labels              = optional(map(string), {})
    locations           = optional(list(string), [])
    consumers           = optional(list(string), [])
    policy_authors      = optional(list(string), [])
    deletion_protection = optional(bool, true)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for id in keys(var.secrets) : can(regex("^[A-Za-z0-9_-]{1,255}$", id))])
    error_message = "The id of a secret has letters, digits, hyphens and underscores only."
  }

  validation {
    condition     = length(setintersection(keys(var.secrets), ["rotation-keys", "rotation-targets"])) == 0
    error_message = "The secrets rotation-keys and rotation-targets are the module's own; leave them out of secrets."
  }

  validation {
    condition = alltrue([
      for secret in values(var.secrets) :
      can(jsondecode(secret.policy).issuer.kind) &&
      length(setsubtract(try(keys(jsondecode(secret.policy)), []), ["approval", "issuer", "retire", "rollout", "soak"])) == 0
    ])
    error_message = "A policy is JSON with issuer.kind, and with approval, issuer, retire, rollout and soak only; rotation policy validate FILE says more."
  }

  validation {
    condition = alltrue([
      for secret in values(var.secrets) : can(regex("^[0-9]+s$", secret.rotation_period)) &&
      try(tonumber(trimsuffix(secret.rotation_period, "s")) >= 3600, false)
    ])
    error_message = "The rotation_period is a number of seconds, at least 3600s."
  }

  validation {
    condition = alltrue([
      for secret in values(var.secrets) : secret.next_rotation_time == null ||
      can(timeadd(coalesce(secret.next_rotation_time, "-"), "0s"))
    ])
    error_message = "The next_rotation_time is a time such as 2026-12-01T03:00:00Z."
  }

  validation {
    condition = alltrue([
      for secret in values(var.secrets) : secret.version_destroy_ttl == null ||
      can(regex("^[0-9]+s$", coalesce(secret.version_destroy_ttl, "-")))
    ])
    error_message = "The version_destroy_ttl is a number of seconds such as 86400s."
  }

  validation {
    condition = alltrue(flatten([
      for secret in values(var.secrets) : [for key in keys(secret.labels) : !startswith(key, "rotation_") && !startswith(key, "rotating_")]
    ]))
    error_message = "Labels that begin with rotation_ or rotating_ belong to the function."
  }
}

variable "first_rotation" {
  description = "When the first secret without a next_rotation_time of its own rotates; null is one day from now. Afterwards Secret Manager moves the time and Terraform leaves it alone."
  type        = string
  default     = null

  validation {
    condition     = var.first_rotation == null || can(timeadd(coalesce(var.first_rotation, "-"), "0s"))
    error_message = "The variable first_rotation is a time such as 2026-12-01T03:00:00Z."
  }
}

variable "stagger_minutes" {
  description = "Minutes between the first rotations of two secrets, so that a fleet does not rotate at one moment."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.stagger_minutes >= 0 && floor(var.stagger_minutes) == var.stagger_minutes
    error_message = "The variable stagger_minutes is a whole number."
  }
}

variable "reads" {
  description = "Ids of secrets that the function reads beside those it rotates and those that targets name by this project's id; say here what a target names by the project's number. They exist already: Terraform never sees their payloads."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(setintersection(var.reads, ["rotation-keys", "rotation-targets"])) == 0
    error_message = "The secrets rotation-keys and rotation-targets are the module's own; leave them out of reads."
  }
}

variable "optional_roles" {
  description = "Roles that some policies need: rotationCloudsql (admin: iam), rotationMonitoring (a prometheus gate on Google Cloud)."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "viewers" {
  description = "Members (group:sre@acme.example) that may run status, history and plan."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "doctors" {
  description = "Members that may run doctor; they can read the payloads of the secrets and act as the function, for that is how doctor tries logins and rights."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "requesters" {
  description = "Members that may look and ask for routine rotations."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "emergency_requesters" {
  description = "Members that may look and ask for emergencies, reverts, retirements and the end of a block."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "notification_channels" {
  description = "Full names of the notification channels of every alert."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "runbooks_url" {
  description = "Where deploy/docs/runbooks is shown, so that alerts carry links; null leaves the path in the repository."
  type        = string
  default     = null

  validation {
    condition     = var.runbooks_url == null || can(regex("^https://[^ ]+[^/]$", var.runbooks_url))
    error_message = "The variable runbooks_url begins with https:// and does not end with a slash."
  }
}
