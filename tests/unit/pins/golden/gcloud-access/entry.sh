PASSWORD="$(gcloud secrets versions access 3 --secret=orders --project acme)"
KEY="$(gcloud secrets versions access 3 --secret=api-key)"
