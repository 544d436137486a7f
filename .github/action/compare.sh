#!/usr/bin/env bash
# Compares the run with a baseline: a folder, or the artefact of the newest successful workflow run of the base branch.
#
# Environment: RUN_DIR, BASELINE, ARTIFACT, BASE_BRANCH, FAIL_ON, GITHUB_WORKFLOW, GH_TOKEN. Without a baseline the step
# says so and succeeds. Writes exit-code to GITHUB_OUTPUT when the comparison was made.
set -euo pipefail

if [[ ! -e "$RUN_DIR/run.json" ]]; then exit 0; fi
baseline="${BASELINE:-}"
if [[ -z "$baseline" && -n "${BASE_BRANCH:-}" ]]; then
  folder="$(mktemp -d)"
  ids="$(gh run list --workflow "$GITHUB_WORKFLOW" --branch "$BASE_BRANCH" --status success --limit 10 \
    --json databaseId --jq '.[].databaseId' || true)"
  for id in $ids; do
    if gh run download "$id" --name "$ARTIFACT" --dir "$folder" 2>/dev/null; then
      baseline="$folder"
      break
    fi
  done
fi
if [[ -n "$baseline" && ! -e "$baseline/run.json" ]]; then
  inside=""
  for record in "$baseline"/*/run.json; do
    if [[ -e "$record" ]]; then inside="$(dirname "$record")"; fi
  done
  baseline="$inside"
fi
if [[ -z "$baseline" ]]; then
  echo "::notice::There is no baseline yet: no artefact $ARTIFACT of a successful run of ${BASE_BRANCH:-the base branch}."
  exit 0
fi
arguments=(report "$RUN_DIR" --kept --compare "$baseline")
if [[ -n "${FAIL_ON:-}" ]]; then arguments+=(--fail-on "$FAIL_ON"); fi
code=0
env --unset=GITHUB_STEP_SUMMARY reelbench "${arguments[@]}" || code=$?
if [[ "$code" -eq 2 || "$code" -eq 4 ]]; then
  echo "::warning::The run was not compared with its baseline: see the message of reelbench above."
  exit 0
fi
echo "exit-code=$code" >>"$GITHUB_OUTPUT"
