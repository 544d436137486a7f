#!/usr/bin/env bash
# Runs the scenarios, or takes a run that was made before. Writes run-dir and exit-code to GITHUB_OUTPUT.
#
# Environment: SCENARIOS, PROFILE, TARGET, ARGUMENTS, RUNS, RUN_DIR. The step succeeds also when an objective fails, so
# that the run is kept and the comment is written; the last step of the action returns the exit code.
set -euo pipefail

code=0
if [[ -n "${RUN_DIR:-}" ]]; then
  run="$RUN_DIR"
else
  arguments=(run --runs "$RUNS" --profile "$PROFILE")
  read -ra names <<<"${SCENARIOS//,/ }"
  for name in ${names[@]+"${names[@]}"}; do arguments+=(--scenario "$name"); done
  if [[ -n "${TARGET:-}" ]]; then arguments+=(--target "$TARGET"); fi
  if [[ -n "${ARGUMENTS:-}" ]]; then
    # xargs splits words with quotes like a shell, and expands nothing
    while IFS= read -r word; do arguments+=("$word"); done < <(xargs -n1 printf '%s\n' <<<"$ARGUMENTS")
  fi
  env --unset=GITHUB_STEP_SUMMARY reelbench "${arguments[@]}" || code=$?
  run=""
  for record in "$RUNS"/*/run.json; do
    if [[ -e "$record" ]]; then run="$(dirname "$record")"; fi # names begin with the time, so the last is the newest
  done
fi
if [[ -z "$run" || ! -e "$run/run.json" ]]; then
  echo "::error::There is no run in ${RUN_DIR:-$RUNS}: see the message of reelbench above (exit code $code)."
  [[ "$code" -ne 0 ]] || code=4
fi
{
  echo "run-dir=$run"
  echo "exit-code=$code"
} >>"$GITHUB_OUTPUT"
