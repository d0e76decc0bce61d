#!/bin/bash
# Runs official.sh as a task definition does, with a small HTTP server in S3's place. It needs bash, curl, sha256sum and
# python3, and writes only below a temporary directory.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
script=$(cat "$here/../official.sh")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT

# Stands in for the agent: it prints its process id and its environment.
cat > "$work/agent" <<'AGENT'
#!/bin/sh
echo "pid $$"
env
exit 7
AGENT
sum=$(sha256sum "$work/agent" | cut -d ' ' -f 1)

: > "$work/requests"
python3 "$here/official_test.py" "$work/agent" > "$work/requests" &
server=$!
# Waits for a line of the server that begins like this.
asked() { timeout 10 grep -m 1 "^$1" <(tail --pid="$server" -n +1 -F "$work/requests" 2> /dev/null); }
port=$(asked '[0-9]')
query='X-Amz-Signature=5ec7e75ec7e7'

# `start PATH [VARIABLE=VALUE…]` starts it, and sets `pid`. `ended` waits for it, and sets `code`.
start() {
    rm -f "$work/installed"
    env -i PATH="$PATH" ECSRUNNER_AGENT_URL="http://127.0.0.1:$port$1?$query" ECSRUNNER_AGENT_SHA256="$sum" KEPT=1 "${@:2}" \
        /bin/bash -c "$script" "$work/installed" > "$work/out" 2> "$work/err" &
    pid=$!
}
ended() {
    code=0
    wait "$pid" || code=$?
    ! grep -qF "$query" "$work/out" "$work/err" || failed "the URL's query is printed"
}
run() { start "$@"; ended; }
failed() { echo "FAILED: $test: $1"; cat "$work/out" "$work/err"; exit 1; }
# `ends CODE WORDS`: it ended with this code and one line on stderr that contains the words, and started nothing.
ends() {
    [ "$code" = "$1" ] || failed "exit code $code: $1 is expected"
    [ "$(wc -l < "$work/err")" = 1 ] && grep -qF -- "$2" "$work/err" || failed "one line with \`$2\` is expected"
    [ ! -s "$work/out" ] || failed "something was started"
}
works() {
    [ "$code" = 7 ] || failed "exit code $code: that of the agent is expected"
    grep -qx "pid $pid" "$work/out" || failed "the agent is another process than bash was"
    grep -qx 'KEPT=1' "$work/out" || failed "the task's environment is lost"
    ! grep -q 'ECSRUNNER_AGENT_' "$work/out" || failed "the agent has the URL or the SHA-256"
    [ "$(stat -c %a "$work/installed")" = 755 ] || failed "the agent's mode is $(stat -c %a "$work/installed"): 755 is expected"
    [ ! -s "$work/err" ] || failed "something is on stderr"
}
where="http://127.0.0.1:$port"

test="the agent replaces bash, without the URL and the SHA-256"
run /agent
works

test="a server that takes a second is waited for"
run /slow
works

test="a server that is overloaded is asked again"
run /flaky
works

test="a redirect is followed"
run /moved
works

test="an object that is not there is named without its query"
run /none
ends 40 "the agent cannot be downloaded from $where/none: status 404"

test="a connection that is refused is named"
run /agent ECSRUNNER_AGENT_URL="http://127.0.0.1:1/agent?$query"
ends 40 'the agent cannot be downloaded from http://127.0.0.1:1/agent: status 000'

test="a download that is cut off is a failed one"
run /broken
ends 40 "the agent cannot be downloaded from $where/broken: status 200"

test="without a URL it says what is missing"
run /agent ECSRUNNER_AGENT_URL=
ends 40 'ECSRUNNER_AGENT_URL is not set'

test="without curl it says so"
mkdir "$work/bin"
run /agent PATH="$work/bin"
[ "$code" = 40 ] && grep -q 'curl is missing' "$work/err" || failed "exit code $code: 40 is expected, and the words"

test="another file is not started"
run /other
ends 41 "the agent from $where/other has the SHA-256"
grep -qF "$sum is expected" "$work/err" || failed "the expected SHA-256 is missing"

test="without an expected SHA-256 nothing is started"
run /agent ECSRUNNER_AGENT_SHA256=
ends 41 'none is expected'

test="a signal while it downloads ends it as one that ran no job"
start /slow ECSRUNNER_AGENT_URL="$where/slow?stopped&$query"
asked '/slow?stopped' > /dev/null
kill -TERM "$pid"
ended
[ "$code" = 21 ] || failed "exit code $code: 21 is expected"

echo "12 passed"
