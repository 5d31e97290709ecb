#!/usr/bin/env bash
# Removes what deploy/gcloud/deploy.sh made, and leaves nothing behind.
#
#   PROJECT=acme-prod REGION=europe-west1 deploy/gcloud/remove.sh
#
# The secrets stay with their versions, and so do the logins: applications use them.  They only lose
# schedule and topic, so that nothing is published any more.  So does rotation-keys: receipts outlive us.
# rotation-targets goes.  DELETE_SECRETS="orders billing" deletes these secrets too.  APIs stay
# enabled.  May be run again.
set -euo pipefail

PROJECT="${PROJECT:?set PROJECT to the project id}"
REGION="${REGION:?set REGION, such as europe-west1}"
DELETE_SECRETS="${DELETE_SECRETS:-}"

export CLOUDSDK_CORE_PROJECT="$PROJECT" CLOUDSDK_CORE_DISABLE_PROMPTS=1
deploy="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
topic="projects/$PROJECT/topics/rotation"
function_account="rotation@$PROJECT.iam.gserviceaccount.com"

say() { printf '== %s\n' "$*"; }
there() { gcloud "$@" >/dev/null 2>&1; }

say "secrets: no schedule, no topic, no right of the function or of ours"
gcloud secrets list --format='value(name,topics[].name.join(","))' |
  awk -v topic="$topic" '{ split($2, topics, ","); for (i in topics) if (topics[i] == topic) print $1 }' |
  while read -r secret; do
    gcloud secrets update "$secret" --remove-rotation-schedule
    gcloud secrets update "$secret" --remove-topics="$topic"
  done
gcloud secrets list --format='value(name)' | while read -r secret; do
  gcloud secrets get-iam-policy "$secret" --flatten='bindings[].members' \
    --format='value(bindings.role,bindings.members)' |
    awk -v roles="projects/$PROJECT/roles/rotation" -v own="serviceAccount:$function_account" \
      'index($1, roles) == 1 || $2 == own' |
    while read -r role member; do
      gcloud secrets remove-iam-policy-binding "$secret" --role="$role" --member="$member"
    done
done
for secret in $DELETE_SECRETS; do
  if there secrets describe "$secret"; then gcloud secrets delete "$secret"; fi
done

say "sweep, subscriptions, topics"
if there scheduler jobs describe rotation-sweep --location="$REGION"; then
  gcloud scheduler jobs delete rotation-sweep --location="$REGION"
fi
for subscription in rotation-function rotation-emergency-function rotation-dead; do
  if there pubsub subscriptions describe "$subscription"; then
    gcloud pubsub subscriptions delete "$subscription"
  fi
done
for each in rotation rotation-emergency rotation-dead; do
  if there pubsub topics describe "$each"; then gcloud pubsub topics delete "$each"; fi
done

say "the function"
if there functions describe rotation --region="$REGION"; then
  gcloud functions delete rotation --region="$REGION"
elif there run services describe rotation --region="$REGION"; then
  gcloud run services delete rotation --region="$REGION"
fi

say "the targets document"
if there secrets describe rotation-targets; then gcloud secrets delete rotation-targets; fi

say "metrics, alerts and the dashboard"
gcloud alpha monitoring policies list --format='value(name,userLabels.product)' |
  awk '$2 == "rotation" { print $1 }' |
  while read -r name; do gcloud alpha monitoring policies delete "$name"; done
gcloud monitoring dashboards list --format='value(name,displayName)' |
  awk '$2 == "rotation" && NF == 2 { print $1 }' |
  while read -r name; do gcloud monitoring dashboards delete "$name"; done
for file in "$deploy"/monitoring/metrics/*.json; do
  metric="rotation-$(basename "$file" .json)"
  if there logging metrics describe "$metric"; then gcloud logging metrics delete "$metric"; fi
done

say "roles and accounts"
gcloud projects get-iam-policy "$PROJECT" --flatten='bindings[].members' \
  --format='value(bindings.role,bindings.members)' |
  awk -v roles="projects/$PROJECT/roles/rotation" 'index($1, roles) == 1' |
  while read -r role member; do
    gcloud projects remove-iam-policy-binding "$PROJECT" --condition=None --role="$role" \
      --member="$member"
  done
python3 -c 'import json, sys; print(*[r["id"] for r in json.load(open(sys.argv[1]))["roles"]], sep="\n")' \
  "$deploy/generated/iam.json" |
  while read -r id; do
    if there iam roles describe "$id" --project="$PROJECT" &&
      [ "$(gcloud iam roles describe "$id" --project="$PROJECT" --format='value(deleted)')" != True ]; then
      gcloud iam roles delete "$id" --project="$PROJECT"
    fi
  done
for account in rotation rotation-push; do
  email="$account@$PROJECT.iam.gserviceaccount.com"
  if there iam service-accounts describe "$email"; then
    gcloud iam service-accounts delete "$email"
  fi
done
say "done"
