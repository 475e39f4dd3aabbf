#!/bin/bash
# Installs what is missing, builds Mooring and runs its tests on Debian 12.
#
#   ./test.sh          release, lint, ASan+UBSan, TSan, 10 s a fuzz target, end to end, a package's life cycle
#   ./test.sh full     also: 60 s a fuzz target, clang-tidy over everything, the benchmark lab, the long end-to-end tests
#   ./test.sh package  all tests of the packages, on hosts with a real systemd
#
# As root it installs packages and runs the end-to-end tests in network namespaces and on booted hosts; those skip
# themselves otherwise.
# For developers, by environment:
#   MOORING_STAGES   the stages to run, of: deps release lint asan tsan fuzz lab e2e package
#   MOORING_OPENSSL  what the release build links: bundled (3.5 LTS, default) or system
#   MOORING_BASE     clang-tidy looks at what changed since this commit (default: the one before) and at the core
#   MOORING_PYTEST   further arguments for pytest, such as "-k redis"
#   MOORING_JOBS     parallel jobs (default: the number of CPUs)
# Logs: build/log/STAGE.log
# shellcheck disable=SC2317,SC2015  # stages are called by name; && and || chains end in what cannot fail
set -uo pipefail
cd "$(dirname "$0")" || exit 1

full=0 all_stages="deps release lint asan tsan fuzz e2e package"
case ${1:-} in
  '') ;;
  full) full=1 all_stages="deps release lint asan tsan fuzz lab e2e package" ;;
  package) export MOORING_SLOW=${MOORING_SLOW:-1}; all_stages="deps release package" ;;
  -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "test.sh: unknown argument '$1' (see ./test.sh --help)" >&2; exit 2 ;;
esac
stages=${MOORING_STAGES:-$all_stages}
jobs=${MOORING_JOBS:-$(nproc)}
fuzz_seconds=$((full ? 60 : 10))
fuzz_seed=$((full ? 0 : 1))  # the short run repeats itself and fails by the change; the long one (0: any) looks for new inputs
logs=$PWD/build/log
mkdir -p "$logs"
export PATH=$PATH:/usr/sbin:/sbin CTEST_OUTPUT_ON_FAILURE=1
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/support/tsan.supp}

say() { printf '%s\n' "$@"; }

quietly() {  # COMMAND...: its output goes to the stage's log and, if it fails, its end to the terminal
  "$@" >>"$log" 2>&1 && return 0
  say "failed: $*" "the end of $log:"
  tail -n "${TAIL:-60}" "$log"
  return 1
}

build() {  # PRESET [cmake -D...]
  local preset=$1 began=$SECONDS
  shift
  quietly cmake --preset "$preset" "$@" && quietly cmake --build --preset "$preset" -j "$jobs" && say "built in $((SECONDS - began)) s"
}

closing_lines=()
unit_tests() {  # PRESET
  local output=$logs/$1-ctest.log status=0
  ctest --test-dir "build/$1" -j "$jobs" --no-tests=error >"$output" 2>&1 || status=1
  if [ "$status" = 0 ]; then
    grep -E '^[0-9]+% tests passed|^Total Test time' "$output"
  else
    # Output of passed tests is not in the log: what is left is what went wrong.
    grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test .* Passed )' "$output" | tail -n 200
  fi
  closing_lines+=("$(grep -E '^[0-9]+% tests passed' "$output" | tail -n 1) ($1)")
  return "$status"
}

stage_deps() {
  local groups="build test envoy control-plane package"
  if [ "$full" = 1 ]; then groups="$groups lab"; fi
  # shellcheck disable=SC2086
  packaging/dependencies.sh $groups
}

stage_release() {
  build release -DMOORING_OPENSSL="${MOORING_OPENSSL:-bundled}" -DMOORING_WERROR=ON && unit_tests release || return 1
  say "$(cd build/release/bin && size mooringd mooring-net 2>/dev/null | awk 'NR > 1 {printf "%s: %.1f MB of code and data\n", $6, ($1 + $2) / 1e6}')"
}

tidy_files() {  # the translation units to look at
  local module
  if [ "$full" = 1 ]; then
    git ls-files '*.cc'
    return
  fi
  { git diff --name-only --diff-filter=d "${MOORING_BASE:-HEAD~1}" -- '*.cc' 2>/dev/null
    for module in core identity tls capture_client; do git ls-files "agent/$module/*.cc"; done; } | sort -u
}

tidy_one() {  # FILE MARK: runs by itself under xargs
  local output
  if output=$(clang-tidy-19 -p build/asan --quiet "$1" 2>/dev/null); then : >"$2"; return 0; fi
  printf '%s\n' "$output"
  return 1
}
export -f tidy_one

# A file that was found clean is not looked at again until it, a header or the list of checks changes.
tidy() {
  local common file sum todo=() known=$PWD/build/tidy
  mkdir -p "$known"
  common=$({ cat .clang-tidy tests/.clang-tidy CMakeLists.txt; clang-tidy-19 --version; git ls-files '*.h' | xargs cat; } 2>/dev/null | sha256sum)
  while read -r file; do
    if ! grep -qF "$PWD/$file\"" build/asan/compile_commands.json; then continue; fi
    sum=$({ echo "$common $file"; cat "$file"; } | sha256sum | cut -c1-32)
    [ -e "$known/$sum" ] || todo+=("$file" "$known/$sum")
  done < <(tidy_files)
  say "clang-tidy: $((${#todo[@]} / 2)) files to check, the others are known to be clean or not in the build"
  # shellcheck disable=SC2016  # expanded by the inner shell
  [ ${#todo[@]} = 0 ] || printf '%s\n' "${todo[@]}" | xargs -n 2 -P "$jobs" bash -c 'tidy_one "$0" "$1"'
}

stage_lint() {
  local failed=0 scripts
  if [ -z "$(git ls-files '*.cc')" ]; then say "git lists no sources here: nothing was looked at"; return 1; fi
  git ls-files '*.cc' '*.h' | xargs -r clang-format-19 --dry-run -Werror >"$log" 2>&1 ||
    { say "clang-format-19 -i is due on:" "$(sed -n 's/^\([^ :]*\):[0-9:]* error:.*/  \1/p' "$log" | sort -u)"; failed=1; }
  mapfile -t scripts < <(git ls-files | xargs grep -lE '^#!/.*(bash|/sh)$' 2>/dev/null)
  [ ${#scripts[@]} = 0 ] || shellcheck -x -S warning "${scripts[@]}" || failed=1
  # clang-tidy reads the generated headers.
  quietly cmake --preset asan "${asan_options[@]}" && quietly cmake --build --preset asan --target agent_xdsapi -j "$jobs" &&
    tidy || failed=1
  return "$failed"
}

# Coverage comes from the sanitizer build: a build of its own would cost minutes for the same lines.
profiles=$PWD/build/asan/profiles
asan_options=("-DCMAKE_CXX_FLAGS=-fprofile-instr-generate=$profiles/%4m.profraw -fcoverage-mapping")

coverage() {
  local program programs=()
  for program in build/asan/bin/*_test; do programs+=(-object "$program"); done
  llvm-profdata-19 merge -sparse -o build/asan/coverage.profdata "$profiles"/*.profraw 2>>"$log" &&
    llvm-cov-19 report -instr-profile build/asan/coverage.profdata "${programs[@]:1}" \
      -ignore-filename-regex '(^/usr/|/tests/|/build/)' >build/asan/coverage.txt 2>>"$log" &&
    awk '/^TOTAL/ {print "line coverage of unit and component tests: " $10 " of " $8 " lines (build/asan/coverage.txt)"}' build/asan/coverage.txt ||
    say "line coverage: none could be computed, see $log"
}

stage_asan() {
  rm -rf "$profiles"
  build asan "${asan_options[@]}" && unit_tests asan || return 1
  coverage
}

stage_tsan() { build tsan && unit_tests tsan; }

fuzz_one() {  # TARGET: runs by itself under xargs
  local name=${1%_fuzz} corpus=build/fuzz/corpus/$1 seeds output=$logs/$1.log
  seeds=tests/fuzz/corpus/$name
  mkdir -p "$corpus" build/fuzz/artifacts
  [ -d "$seeds" ] || seeds=""
  # shellcheck disable=SC2086
  if "build/$fuzz_preset/bin/$1" -seed="$fuzz_seed" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/artifacts/$1-" "$corpus" $seeds >"$output" 2>&1; then
    printf '%-32s %12s runs, none failed\n' "$1" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$output")"
  else
    tail -n 60 "$output"
    echo "$1 FAILED, input: build/fuzz/artifacts/$1-*"
    return 1
  fi
}

# Ten seconds are not worth a build of their own: the sanitizer build has the targets too.
fuzz_preset=$([ "$full" = 1 ] && echo fuzz || echo asan)
fuzz_options=()
if [ "$fuzz_preset" = asan ]; then fuzz_options=("${asan_options[@]}"); fi

stage_fuzz() {
  local targets
  mapfile -t targets < <(cd tests/fuzz 2>/dev/null && find . -name '*_fuzz.cc' -printf '%P\n' | sed 's|\.cc$||' | sort)
  if [ ${#targets[@]} = 0 ]; then say "there are no fuzz targets"; return 1; fi
  quietly cmake --preset "$fuzz_preset" "${fuzz_options[@]}" &&
    quietly cmake --build --preset "$fuzz_preset" -j "$jobs" --target "${targets[@]}" || return 1
  export -f fuzz_one
  export logs fuzz_seconds fuzz_seed fuzz_preset
  printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -c 'fuzz_one {}'
}

stage_lab() {
  local lab=../shared/bench envoy
  if [ ! -x "$lab/run.sh" ]; then say "NOT MEASURED: the lab is not at $lab"; return 0; fi
  if [ "$(id -u)" != 0 ]; then say "NOT MEASURED: the lab needs root"; return 0; fi
  envoy=$(packaging/dependencies.sh --envoy-path)
  LAB_PEERS=$PWD/tests/bench ENVOY=$envoy "$lab/run.sh" -p "envoy mooring" -m "check bulk rr cps mem" -w "1 2" -n 5 -t 3 -o build/lab >"$log" 2>&1 ||
    { tail -n 40 "$log"; return 1; }
  cat build/lab/RESULTS.md
}

python_tests() {  # FOLDER
  local name=${1##*/} output status more=()
  output=$logs/$name-pytest.log
  export MOORING_BIN=${MOORING_BIN:-$PWD/build/release/bin} PYTHONDONTWRITEBYTECODE=1
  if [ "$(id -u)" = 0 ]; then
    export MOORING_REQUIRE_ALL=${MOORING_REQUIRE_ALL:-1}  # here everything is installed: a test left out is a failure
  else
    say "not root: the tests that need hosts skip themselves"
  fi
  read -ra more <<<"${MOORING_PYTEST:-}"
  /usr/bin/python3 -m pytest "$1" -v --durations=10 -o cache_dir="$PWD/build/$name-cache" "${more[@]}" 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  closing_lines+=("$(tail -n 1 "$output")")
  if [ "$status" = 1 ]; then second_run "$1" "${more[@]}"; return; fi
  return "$status"
}

# One wobble of a busy machine must neither hide what the others say nor be hidden: what failed runs once more by itself,
# and what passes then is named. More than ten failures are no wobble.
second_run() {  # FOLDER PYTEST-ARGUMENTS
  local folder=$1 name=${1##*/} output status failed_before wobbly
  shift
  output=$logs/$name-pytest-second.log
  failed_before=$(grep -cE '^(FAILED|ERROR) ' "$logs/$name-pytest.log")
  if [ "$failed_before" -gt 10 ]; then return 1; fi
  say "" "==> $folder: the $failed_before that failed, once more"
  /usr/bin/python3 -m pytest "$folder" -v --last-failed -o cache_dir="$PWD/build/$name-cache" "$@" 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  wobbly=$(sed -nE "s|^($folder/)?([^ ]+::[^ ].*[^ ]) +PASSED.*|\\2|p" "$output" | paste -sd, | sed 's/,/, /g')
  if [ -n "$wobbly" ]; then closing_lines+=("PASSED ON THE SECOND RUN ONLY, failed on the first: $wobbly"); fi
  closing_lines+=("second run: $(tail -n 1 "$output")")
  return "$status"
}

stage_e2e() { MOORING_SLOW=${MOORING_SLOW:-$full} python_tests tests/netns; }

stage_package() { python_tests tests/package; }

table=() failed=0
for stage in $stages; do
  declare -F "stage_$stage" >/dev/null || { say "test.sh: no stage '$stage' ($all_stages lab)" >&2; exit 2; }
  printf '\n==> %s\n' "$stage"
  log=$logs/$stage.log began=$SECONDS result=passed
  : >"$log"
  "stage_$stage" || { result=FAILED; failed=1; }
  table+=("$(printf '%-8s %6s s  %s' "$stage" $((SECONDS - began)) "$result")")
  if [ "$stage $result" = "deps FAILED" ]; then break; fi
done

table+=("$(printf '%-8s %6s s  %s' all $SECONDS "$([ $failed = 0 ] && echo passed || echo FAILED)")")
printf '\nstage      time\n'
printf '%s\n' "${table[@]}" "" "${closing_lines[@]}"
exit $failed
