#!/bin/sh
# --set-secrets=DB=orders:3 was here
gcloud run deploy shop --image=app:3 --port=3 --set-secrets=DB=orders:3,API=api-key:3,/etc/db=orders:3 --max-instances 3
