gcloud run deploy --set-secrets=API=api-key:3,OTHER=else:3 # rotation:secret=acme/orders
