#!/usr/bin/env bash
# Puts summary.md on the page of the workflow run, and as a comment on the pull request; an earlier comment is replaced.
#
# Environment: RUN_DIR, COMMENT, NUMBER, NAME, GITHUB_REPOSITORY, GH_TOKEN. Without the right to comment, as in a pull
# request from a fork, the step warns and succeeds.
set -euo pipefail

summary="$RUN_DIR/reports/summary.md"
if [[ ! -e "$summary" ]]; then
  echo "::warning::There is no $summary, so nothing is written."
  exit 0
fi
body="$(mktemp)"
marker="<!-- reelbench: ${NAME//[^A-Za-z0-9 _.-]/} -->"
{
  echo "$marker"
  sed -E 's/\[([^]]*)\]\([a-z_]+\.md[^)]*\)/\1/g' "$summary" # files next to it are not on this page
} >"$body"
if [[ -n "${GITHUB_STEP_SUMMARY:-}" ]]; then tail -n +2 "$body" >>"$GITHUB_STEP_SUMMARY"; fi
if [[ "$COMMENT" != "true" || -z "${NUMBER:-}" ]]; then exit 0; fi

comments="repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments"
mine="$(gh api "$comments" --paginate --jq ".[] | select(.body | startswith(\"$marker\")) | .id" | head -n 1 || true)"
if [[ -n "$mine" ]]; then
  gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$mine" --field "body=@$body" >/dev/null && exit 0
fi
gh api --method POST "$comments" --field "body=@$body" >/dev/null ||
  echo "::warning::The comment was not written: the job needs the permission pull-requests: write."
