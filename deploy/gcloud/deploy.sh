#!/usr/bin/env bash
# Deploys rotation into one project with gcloud alone: the same things as deploy/terraform makes.
#
#   PROJECT=acme-prod REGION=europe-west1 deploy/gcloud/deploy.sh
#
# May be run again: what is there is brought up to date, nothing is made twice.  Needs gcloud (with
# its alpha component, for alert policies), bash and python3; with TARGETS_FILE or SECRETS_DIR also the
# command `rotation` (pip install '.[cli]'): it checks the targets document.  With SECRETS_DIR its login
# too (gcloud auth application-default login): policies are written by it, since gcloud replaces all
# annotations of a secret.  deploy/gcloud/remove.sh undoes it.
set -euo pipefail

# ---------------------------------------------------------------------------- what to choose
PROJECT="${PROJECT:?set PROJECT to the project id}"
REGION="${REGION:?set REGION, such as europe-west1}"
IMAGE="${IMAGE:-}"                                # of this release, REGISTRY/NAME@sha256:...; empty: source
RUNTIME="${RUNTIME:-python312}"                   # of the buildpack
REQUIREMENTS="${REQUIREMENTS:-requirements.txt}"  # deploy/requirements-git.txt where pins live in Git, -redis.txt for Redis
BUILD_SERVICE_ACCOUNT="${BUILD_SERVICE_ACCOUNT:-}"
MEMORY="${MEMORY:-512Mi}"
CONCURRENCY="${CONCURRENCY:-4}"
MAX_INSTANCES="${MAX_INSTANCES:-2}"
MIN_INSTANCES="${MIN_INSTANCES:-0}"
VPC_CONNECTOR="${VPC_CONNECTOR:-}"                # projects/P/locations/R/connectors/C
NETWORK="${NETWORK:-}"                            # direct VPC egress, with IMAGE only
SUBNETWORK="${SUBNETWORK:-}"
KEYS_VERSION="${KEYS_VERSION:-}"                  # of the secret rotation-keys; empty: the newest, or a first one
TARGETS_FILE="${TARGETS_FILE:-}"                  # the targets document, YAML or JSON; empty: the newest there is
ENVIRONMENT="${ENVIRONMENT:-}"                    # ROTATION_SWEEP_SECONDS=300,...
OPTIONAL_ROLES="${OPTIONAL_ROLES:-}"              # rotationCloudsql rotationMonitoring
VIEWERS="${VIEWERS:-}"                            # members, separated by spaces
REQUESTERS="${REQUESTERS:-}"                      # look, and ask for routine rotations
EMERGENCY_REQUESTERS="${EMERGENCY_REQUESTERS:-}"  # look, and ask for emergencies and ways back
DOCTORS="${DOCTORS:-}"                            # read payloads, and act as the function
READS="${READS:-}"                                # secrets that targets name by the project's number
SECRETS_DIR="${SECRETS_DIR:-}"                    # NAME.json: the policy of secret NAME;
                                                  # NAME.consumers: its readers, one member a line
                                                  # NAME.authors: who may change its policy
ROTATION_PERIOD="${ROTATION_PERIOD:-2592000s}"
FIRST_ROTATION="${FIRST_ROTATION:-}"              # empty: in one day
STAGGER_MINUTES="${STAGGER_MINUTES:-10}"
VERSION_DESTROY_TTL="${VERSION_DESTROY_TTL:-}"
NOTIFICATION_CHANNELS="${NOTIFICATION_CHANNELS:-}"
RUNBOOKS_URL="${RUNBOOKS_URL:-deploy/docs/runbooks}"

# ---------------------------------------------------------------------------- what follows
# Lists as words: never a pattern of file names.
read -r -d '' -a optional_roles <<<"$OPTIONAL_ROLES" || true
read -r -d '' -a viewers <<<"$VIEWERS" || true
read -r -d '' -a requesters <<<"$REQUESTERS" || true
read -r -d '' -a emergency_requesters <<<"$EMERGENCY_REQUESTERS" || true
read -r -d '' -a doctors <<<"$DOCTORS" || true
read -r -d '' -a reads <<<"$READS" || true

refuse() { printf 'deploy.sh: %s\n' "$*" >&2 && exit 2; }
policies=()
for file in ${SECRETS_DIR:+"$SECRETS_DIR"/*.json}; do
  if [ -e "$file" ]; then policies+=("$file"); fi
done
for name in "${policies[@]##*/}" "${reads[@]}"; do
  if ! [[ "${name%.json}" =~ ^[A-Za-z0-9_][A-Za-z0-9_-]{0,254}$ ]]; then
    refuse "$(printf '%q is not the id of a secret: letters, digits, - and _, no - in front' "$name")"
  fi
  if [[ "${name%.json}" =~ ^rotation-(keys|targets)$ ]]; then
    refuse "the secret ${name%.json} is the deployment's own; leave it out of SECRETS_DIR and READS"
  fi
done
if [ -n "$TARGETS_FILE" ] || [ "${#policies[@]}" -gt 0 ]; then
  command -v rotation >/dev/null ||
    refuse "policies and targets are read by our own command; run: pip install '.[cli]'"
fi

deploy="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
repository="$(dirname "$deploy")"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# Before anything is made.
if [ -n "$TARGETS_FILE" ]; then
  rotation targets validate -- "$TARGETS_FILE" >&2 || refuse "TARGETS_FILE is no sound targets document"
  ROTATION_TARGETS="$TARGETS_FILE" rotation --json targets show >"$scratch/targets.json"
  if grep -Eq 'secrets/rotation-(keys|targets)[/"]' "$scratch/targets.json"; then
    refuse "TARGETS_FILE names rotation-keys or rotation-targets, which open no system and are not rotated"
  fi
fi

export CLOUDSDK_CORE_PROJECT="$PROJECT" CLOUDSDK_CORE_DISABLE_PROMPTS=1

topic="projects/$PROJECT/topics/rotation"
emergency_subscription="projects/$PROJECT/subscriptions/rotation-emergency-function"
function_account="rotation@$PROJECT.iam.gserviceaccount.com"
push_account="rotation-push@$PROJECT.iam.gserviceaccount.com"
number="$(gcloud projects describe "$PROJECT" --format='value(projectNumber)')"
# One of the function's two addresses; this one is known before there is a function.
audience="https://rotation-$number.$REGION.run.app"
pubsub_agent="service-$number@gcp-sa-pubsub.iam.gserviceaccount.com"
secret_manager_agent="service-$number@gcp-sa-secretmanager.iam.gserviceaccount.com"
filter='attributes.eventType = "SECRET_ROTATE" OR hasPrefix(attributes.eventType, "ROTATION_")'

say() { printf '== %s\n' "$*"; }
there() { gcloud "$@" >/dev/null 2>&1; }
role() { printf 'projects/%s/roles/%s' "$PROJECT" "$1"; }

# What Google has just been told is not known everywhere at once.
patiently() {
  local attempt
  for attempt in 1 2 3 4 5 6; do
    if "$@"; then return 0; fi
    sleep "$((attempt * ${PAUSE_SECONDS:-5}))"
  done
  "$@"
}

say "APIs, and the agents that act for us"
apis=(cloudscheduler iam logging monitoring pubsub run secretmanager)
if [ -z "$IMAGE" ]; then apis+=(artifactregistry cloudbuild cloudfunctions); fi
gcloud services enable "${apis[@]/%/.googleapis.com}"
gcloud beta services identity create --service=pubsub.googleapis.com
gcloud beta services identity create --service=secretmanager.googleapis.com

say "accounts"
there iam service-accounts describe "$function_account" ||
  gcloud iam service-accounts create rotation --display-name="Function of rotation"
there iam service-accounts describe "$push_account" ||
  gcloud iam service-accounts create rotation-push --display-name="Delivers messages to rotation"

say "roles, from deploy/generated/iam.json"
python3 - "$deploy/generated/iam.json" "$OPTIONAL_ROLES" >"$scratch/roles" <<'PYTHON'
import json, sys
for role in json.load(open(sys.argv[1]))["roles"]:
    if not role.get("optional") or role["id"] in sys.argv[2].split():
        print(role["id"], role["title"], role["description"], ",".join(role["permissions"]), sep="\t")
PYTHON
while IFS=$'\t' read -r id title description permissions; do
  verb=create
  if there iam roles describe "$id" --project="$PROJECT"; then
    verb=update
    # A deleted role keeps its id for a week.
    gone="$(gcloud iam roles describe "$id" --project="$PROJECT" --format='value(deleted)')"
    if [ "$gone" = True ]; then gcloud iam roles undelete "$id" --project="$PROJECT"; fi
  fi
  gcloud iam roles "$verb" "$id" --project="$PROJECT" --title="$title" \
    --description="$description" --permissions="$permissions"
done <"$scratch/roles"

grant_on_project() {
  patiently gcloud projects add-iam-policy-binding "$PROJECT" --condition=None \
    --role="$1" --member="$2"
}
grant_on_project "$(role rotationSweep)" "serviceAccount:$function_account"
for id in "${optional_roles[@]}"; do grant_on_project "$(role "$id")" "serviceAccount:$function_account"; done
# Whoever asks follows what becomes of it.
for member in "${viewers[@]}" "${requesters[@]}" "${emergency_requesters[@]}"; do
  grant_on_project "$(role rotationViewer)" "$member"
done
for member in "${doctors[@]}"; do
  grant_on_project "$(role rotationDoctor)" "$member"
  patiently gcloud iam service-accounts add-iam-policy-binding "$function_account" \
    --role="$(role rotationDoctorAccount)" --member="$member"
done

say "topics, and who may publish"
there pubsub topics describe rotation || gcloud pubsub topics create rotation
there pubsub topics describe rotation-emergency || gcloud pubsub topics create rotation-emergency
there pubsub topics describe rotation-dead || gcloud pubsub topics create rotation-dead
patiently gcloud pubsub topics add-iam-policy-binding rotation \
  --role=roles/pubsub.publisher --member="serviceAccount:$secret_manager_agent"
patiently gcloud pubsub topics add-iam-policy-binding rotation \
  --role="$(role rotationPublisher)" --member="serviceAccount:$function_account"
for member in "${requesters[@]}"; do
  patiently gcloud pubsub topics add-iam-policy-binding rotation \
    --role="$(role rotationRequester)" --member="$member"
done
for member in "${emergency_requesters[@]}"; do
  patiently gcloud pubsub topics add-iam-policy-binding rotation-emergency \
    --role="$(role rotationEmergencyRequester)" --member="$member"
done
patiently gcloud pubsub topics add-iam-policy-binding rotation-dead \
  --role=roles/pubsub.publisher --member="serviceAccount:$pubsub_agent"

say "the keys, which the function alone may read"
there secrets describe rotation-keys ||
  gcloud secrets create rotation-keys --replication-policy=automatic
patiently gcloud secrets add-iam-policy-binding rotation-keys \
  --role="$(role rotationReader)" --member="serviceAccount:$function_account"
if [ -z "$KEYS_VERSION" ]; then
  # They are listed the newest first.
  KEYS_VERSION="$(gcloud secrets versions list rotation-keys --filter=state=enabled --limit=1 \
    --format='value(name.basename())')"
fi
if [ -z "$KEYS_VERSION" ]; then
  # What `rotation keys rotate` makes; the keys go from one program to the other, and nowhere else.
  KEYS_VERSION="$(python3 - <<'PYTHON' | gcloud secrets versions add rotation-keys --data-file=- --format='value(name.basename())'
import base64, datetime, json, secrets
now = datetime.datetime.now(datetime.timezone.utc)
keys = [
    {
        "id": f"k{now:%Y%m%d}-{secrets.token_hex(4)}",
        "created": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "secret": base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    for _ in range(2)
]
print(json.dumps({"schema": "rotation.keys/1", "keys": keys}))
PYTHON
  )"
fi

say "the targets document, which the function alone may read"
says_the_same() {
  python3 - "$scratch/targets-before.json" "$scratch/targets.json" <<'PYTHON'
import json, sys
try:
    before, now = (json.load(open(file)) for file in sys.argv[1:])
except ValueError:
    sys.exit(1)
sys.exit(before != now)
PYTHON
}
targets_version=
if [ -n "$TARGETS_FILE" ] && ! there secrets describe rotation-targets; then
  gcloud secrets create rotation-targets --replication-policy=automatic
fi
if there secrets describe rotation-targets; then
  patiently gcloud secrets add-iam-policy-binding rotation-targets \
    --role="$(role rotationReader)" --member="serviceAccount:$function_account"
  targets_version="$(gcloud secrets versions list rotation-targets --filter=state=enabled --limit=1 \
    --format='value(name.basename())')"
fi
if [ -n "$targets_version" ]; then
  gcloud secrets versions access "$targets_version" --secret=rotation-targets \
    >"$scratch/targets-before.json"
  if [ -z "$TARGETS_FILE" ]; then cp "$scratch/targets-before.json" "$scratch/targets.json"; fi
fi
if [ -n "$TARGETS_FILE" ] && { [ -z "$targets_version" ] || ! says_the_same; }; then
  targets_version="$(gcloud secrets versions add rotation-targets --data-file="$scratch/targets.json" \
    --format='value(name.basename())')"
fi
if [ -n "$targets_version" ]; then
  # Secrets of this project that open a system: every name in the document outside of the lists of
  # who may use a target.  What is in SECRETS_DIR the function may read anyway.
  python3 - "$scratch/targets.json" "$PROJECT" "${policies[@]##*/}" >"$scratch/opened" <<'PYTHON' ||
import json, re, sys
name = re.compile(f'"projects/{re.escape(sys.argv[2])}/secrets/([A-Za-z0-9_-]+)[/"]')
ours = {"rotation-keys", "rotation-targets"} | {file.removesuffix(".json") for file in sys.argv[3:]}
try:
    document = json.load(open(sys.argv[1]))
except ValueError:
    sys.exit(1)
opened = set()
for target in document["targets"].values():
    own = {key: value for key, value in target.items() if key != "secrets"}
    opened.update(name.findall(json.dumps(own)))
for secret in sorted(opened - ours):
    print(secret)
PYTHON
    refuse "version $targets_version of rotation-targets is not JSON; set TARGETS_FILE to the document"
  while read -r secret; do reads+=("$secret"); done <"$scratch/opened"
  # Policies are judged by what will be in force.
  export ROTATION_TARGETS="$scratch/targets.json" ROTATION_PROJECT_NUMBER="$number"
fi

say "the function"
release="$(sed -n 's/^version = "\(.*\)"$/\1/p' "$repository/pyproject.toml")"
variables="ROTATION_PROJECT=$PROJECT,ROTATION_PROJECT_NUMBER=$number,ROTATION_TOPIC=$topic,ROTATION_VERSION=$release"
# Whose push is believed.  Cloud Run lets only its invokers in, checks the signature of their token
# and removes it; the function checks what is left.
variables+=",ROTATION_PUSH_AUDIENCE=$audience,ROTATION_PUSH_ACCOUNT=$push_account"
variables+=",ROTATION_PUSH_SIGNATURE=removed-by-cloud-run"
variables+=",ROTATION_EMERGENCY_SUBSCRIPTION=$emergency_subscription"
variables+=",ROTATION_KEYS=/secrets/keys/keys.json"
mounted="/secrets/keys/keys.json=rotation-keys:$KEYS_VERSION"
if [ -n "$targets_version" ]; then
  # A folder of its own: Cloud Run mounts one secret in each.
  variables+=",ROTATION_TARGETS=/secrets/targets/targets.json"
  mounted+=",/secrets/targets/targets.json=rotation-targets:$targets_version"
fi
variables+="${ENVIRONMENT:+,$ENVIRONMENT}"
if [ -z "$IMAGE" ]; then
  mkdir "$scratch/source"
  cp -R "$repository/main.py" "$repository/rotation" "$scratch/source/"
  cp "$repository/$REQUIREMENTS" "$scratch/source/requirements.txt"
  cp "$repository/.gcloudignore" "$scratch/source/"
  options=(
    --gen2 --region="$REGION" --runtime="$RUNTIME" --source="$scratch/source"
    --entry-point=rotate --trigger-http --no-allow-unauthenticated
    --ingress-settings=internal-only --timeout=540s --memory="$MEMORY" --cpu=1
    --concurrency="$CONCURRENCY" --min-instances="$MIN_INSTANCES" --max-instances="$MAX_INSTANCES"
    --run-service-account="$function_account" --set-env-vars="$variables" --set-secrets="$mounted"
  )
  if [ -n "$BUILD_SERVICE_ACCOUNT" ]; then
    options+=(--build-service-account="$BUILD_SERVICE_ACCOUNT")
  fi
  if [ -n "$VPC_CONNECTOR" ]; then
    options+=(--vpc-connector="$VPC_CONNECTOR" --egress-settings=private-ranges-only)
  fi
  gcloud functions deploy rotation "${options[@]}"
else
  options=(
    --region="$REGION" --image="$IMAGE" --no-allow-unauthenticated --ingress=internal
    --timeout=540 --memory="$MEMORY" --cpu=1 --concurrency="$CONCURRENCY"
    --min-instances="$MIN_INSTANCES" --max-instances="$MAX_INSTANCES"
    --service-account="$function_account" --set-env-vars="$variables" --set-secrets="$mounted"
  )
  if [ -n "$NETWORK" ]; then
    options+=(--network="$NETWORK" --subnet="$SUBNETWORK" --vpc-egress=private-ranges-only)
  elif [ -n "$VPC_CONNECTOR" ]; then
    options+=(--vpc-connector="$VPC_CONNECTOR" --vpc-egress=private-ranges-only)
  fi
  gcloud run deploy rotation "${options[@]}"
fi
patiently gcloud run services add-iam-policy-binding rotation --region="$REGION" \
  --role="$(role rotationInvoker)" --member="serviceAccount:$push_account"
url="$(gcloud run services describe rotation --region="$REGION" --format='value(status.url)')"

say "the subscriptions, straight to the function"
options=(
  --ack-deadline=600 --message-retention-duration=604800s --expiration-period=never
  --push-endpoint="$url" --push-auth-service-account="$push_account"
  --push-auth-token-audience="$audience" --min-retry-delay=10s --max-retry-delay=600s
  --dead-letter-topic=rotation-dead --max-delivery-attempts=20
)
for name in rotation rotation-emergency; do
  if there pubsub subscriptions describe "$name-function"; then
    gcloud pubsub subscriptions update "$name-function" "${options[@]}"
  else
    gcloud pubsub subscriptions create "$name-function" --topic="$name" \
      --message-filter="$filter" "${options[@]}"
  fi
done
options=(--ack-deadline=60 --message-retention-duration=604800s --expiration-period=never)
if there pubsub subscriptions describe rotation-dead; then
  gcloud pubsub subscriptions update rotation-dead "${options[@]}"
else
  gcloud pubsub subscriptions create rotation-dead --topic=rotation-dead "${options[@]}"
fi
for name in rotation rotation-emergency; do
  gcloud pubsub subscriptions add-iam-policy-binding "$name-function" \
    --role=roles/pubsub.subscriber --member="serviceAccount:$pubsub_agent"
done

say "the sweep"
options=(
  --location="$REGION" --schedule='*/5 * * * *' --time-zone=Etc/UTC --topic="$topic"
  --message-body=sweep --description="Wakes every rotation that is due, overdue or waiting"
)
if there scheduler jobs describe rotation-sweep --location="$REGION"; then
  gcloud scheduler jobs update pubsub rotation-sweep "${options[@]}" \
    --update-attributes=eventType=ROTATION_SWEEP
else
  gcloud scheduler jobs create pubsub rotation-sweep "${options[@]}" \
    --attributes=eventType=ROTATION_SWEEP
fi

say "the secrets"
let_doctors_read() {
  local member
  for member in "${doctors[@]}"; do
    gcloud secrets add-iam-policy-binding "$1" --role="$(role rotationReader)" --member="$member"
  done
}
later() { date -u -d "$1" +%Y-%m-%dT%H:%M:%SZ; }
first="${FIRST_ROTATION:-$(later '1 day')}"
turn=0
for file in "${policies[@]}"; do
  secret="${file##*/}"
  secret="${secret%.json}"
  options=(--rotation-period="$ROTATION_PERIOD")
  if [ -n "$VERSION_DESTROY_TTL" ]; then options+=(--version-destroy-ttl="$VERSION_DESTROY_TTL"); fi
  if there secrets describe "$secret"; then
    gcloud secrets update "$secret" --add-topics="$topic" "${options[@]}"
  else
    patiently gcloud secrets create "$secret" --replication-policy=automatic --topics="$topic" \
      "${options[@]}" \
      --next-rotation-time="$(later "$first + $((turn * STAGGER_MINUTES)) minutes")"
  fi
  turn=$((turn + 1))
  # Under the ETag, beside what others and the function have written.
  rotation --project="$PROJECT" policy apply -- "projects/$PROJECT/secrets/$secret" "$file"
  gcloud secrets add-iam-policy-binding "$secret" \
    --role="$(role rotationFunction)" --member="serviceAccount:$function_account"
  let_doctors_read "$secret"
  if [ -f "${file%.json}.consumers" ]; then
    while read -r member || [ -n "$member" ]; do
      gcloud secrets add-iam-policy-binding "$secret" \
        --role=roles/secretmanager.secretAccessor --member="$member"
    done <"${file%.json}.consumers"
  fi
  if [ -f "${file%.json}.authors" ]; then
    while read -r member; do
      gcloud secrets add-iam-policy-binding "$secret" \
        --role="$(role rotationPolicyAuthor)" --member="$member"
    done <"${file%.json}.authors"
  fi
done
for secret in "${reads[@]}"; do
  gcloud secrets add-iam-policy-binding "$secret" \
    --role="$(role rotationReader)" --member="serviceAccount:$function_account"
  let_doctors_read "$secret"
done

say "metrics, alerts and the dashboard"
for file in "$deploy"/monitoring/metrics/*.json; do
  metric="rotation-$(basename "$file" .json)"
  verb=create
  if there logging metrics describe "$metric"; then verb=update; fi
  gcloud logging metrics "$verb" "$metric" --config-from-file="$file"
done
gcloud alpha monitoring policies list --format='value(name,userLabels.product,userLabels.alert)' \
  >"$scratch/policies"
for file in "$deploy"/monitoring/alerts/*.json; do
  alert="$(basename "$file" .json)"
  text="$(cat "$file")"
  printf '%s\n' "${text//deploy\/docs\/runbooks/"$RUNBOOKS_URL"}" >"$scratch/$alert.json"
  name="$(awk -v alert="$alert" '$2 == "rotation" && $3 == alert { print $1 }' "$scratch/policies")"
  if [ -n "$name" ]; then
    options=(--policy-from-file="$scratch/$alert.json")
    if [ -n "$NOTIFICATION_CHANNELS" ]; then
      options+=(--set-notification-channels="$NOTIFICATION_CHANNELS")
    fi
    gcloud alpha monitoring policies update "$name" "${options[@]}"
  else
    patiently gcloud alpha monitoring policies create \
      --policy-from-file="$scratch/$alert.json" --notification-channels="$NOTIFICATION_CHANNELS"
  fi
done
# A dashboard is replaced: an update needs the ETag of what is there.
gcloud monitoring dashboards list --format='value(name,displayName)' |
  awk '$2 == "rotation" && NF == 2 { print $1 }' >"$scratch/dashboards"
while read -r name; do gcloud monitoring dashboards delete "$name"; done <"$scratch/dashboards"
gcloud monitoring dashboards create --config-from-file="$deploy/monitoring/dashboard.json"

say "done; for the command line:"
printf 'export ROTATION_PROJECT=%s ROTATION_TOPIC=%s\n' "$PROJECT" "$topic"
