gcloud run services update shop \
  --update-secrets \
  "DB=projects/acme/secrets/orders:3,API=projects/acme/secrets/api-key:3" \
  --timeout 3
