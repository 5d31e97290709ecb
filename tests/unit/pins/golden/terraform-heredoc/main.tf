resource "x" "y" {
  manifest = <<-EOT
    # projects/acme/secrets/orders/versions/3
    resourceName: projects/acme/secrets/orders/versions/3
  EOT
  list = [for s in var.all : upper(s) if s != "3"]
}
