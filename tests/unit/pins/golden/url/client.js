const url = `https://secretmanager.googleapis.com/v1/projects/acme/secrets/orders/versions/3:access`; // 3
