replicas = 3
secrets = {
  orders = { version = "3", replicas = "3" }
}
